"""Baselines without units: a linear head on features, whose explanation is empty."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.explanation import Explanation, Units
from zoo.model import SelfExplaining

DESCRIBE = (
    "This model is a black box: it has no units that could be named and shown. The page reports its predictions and"
    " their accuracy, but not their reasons."
)


class BlackBoxModel(SelfExplaining):
    """A classifier whose vocabulary of units is empty: the whole logit is ``base``.

    A family sets ``dropout`` and ``head`` and defines ``encode``: inputs to features ``(b, d)``.
    """

    dropout: nn.Dropout
    head: nn.Linear

    @property
    def units(self) -> Units:
        """No units."""
        return Units("none", (), describe=DESCRIBE)

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Compute the features ``(b, d)`` that the head reads."""

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Apply the linear head; there are no units to set."""
        logits = self.in_units_of_y(self.head(self.dropout(state)))
        return logits if mask is None else logits.expand(*mask.shape[:-1], -1)

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Return an explanation without units, whose ``base`` is the logit."""
        logits = self(x)
        target = self.resolve_target(logits, target)
        nothing = logits.new_zeros(x.shape[0], 0)
        base = logits.gather(1, target[:, None])[:, 0]
        ids = torch.zeros(x.shape[0], 0, dtype=torch.int64, device=x.device)
        return Explanation(self.units, logits, target, nothing, nothing, base, ids)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: the loss of the task, mean over samples."""
        return {"task": self.task_loss(self(batch.x), batch)}
