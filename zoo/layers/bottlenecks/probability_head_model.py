"""The base class of models whose linear head reads the probabilities of concepts that depend on each other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.editing.operation import Operation
from zoo.explanation import Explanation
from zoo.layers.concept_model import ConceptModel
from zoo.layers.edited_head import Rows, WeightEdits
from zoo.layers.sparse_linear import fit_linear_head


class ProbabilityHeadModel(ConceptModel):
    """A distribution of concepts, of which the probabilities are the strengths, and a linear head on these.

    A family defines ``encode`` and ``strengths``, and makes ``head``, a layer from u probabilities to the classes.
    """

    head: nn.Linear

    @abstractmethod
    def strengths(self, state: Any, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Return the probabilities ``(..., b, u)`` of the concepts, given those that are set.

        Args:
            state: of b inputs.
            mask: ``(..., b, u)`` bool, concepts that are set; None for none.
            value: ``(..., b, u)`` their probabilities.
        """

    def decide(self, state: Any, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Apply the head to the probabilities, given the concepts that are set."""
        return self.head(self.strengths(state, mask, value))

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by weight times probability, exact."""
        strength = self.strengths(self.encode(x))
        logits = self.head(strength)
        target = self.resolve_target(logits, target)
        contribution = strength * self.head.weight[target]
        shown = self.resolve_shown(contribution, shown)
        return Explanation(self.units, logits, target, strength, contribution, self.head.bias[target], shown)

    @torch.no_grad()
    def fit_head(self, loader: Iterable[Batch], *, l1: float = 0.0, l2: float = 1e-3) -> dict[str, float]:
        """Fit the head exactly on the annotated concepts, and on predicted ones where they are unknown."""
        rows = self._head_rows(loader)
        return fit_linear_head(self.head, rows.inputs, rows.y, l1=l1, l2=l2, loss=rows.loss)

    def _head_rows(self, loader: Iterable[Batch]) -> Rows:
        strengths, truth, y, share = self.concept_rows(loader, lambda x: self.strengths(self.encode(x)))
        return Rows(self.space.randint(strengths, truth, 1.0), y, self.head_loss(y, share))

    def edit_operations(self) -> dict[str, Operation]:
        """Return the operations on concepts, see ``zoo.layers.edited_head``."""
        return dict(WeightEdits(self.head.weight, self.head.bias).operations(self._head_rows))
