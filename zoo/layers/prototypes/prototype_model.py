"""The base class of prototype models: a backbone, add-on layers, one map of evidence per prototype, a linear head."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.explanation import Explanation, gather
from zoo.layers.backbone_model import BackboneModel
from zoo.layers.prototypes.prototype_edits import PrototypeEdits
from zoo.runtime.gathering import in_order
from zoo.what_if import AffineHead

DESCRIBE = (
    "This model predicts by comparison with characteristic patches of training images, called prototypes. The strength"
    " of a prototype is its largest similarity to any patch of the image. Every similarity adds to the score of a class"
    " or subtracts from it."
)


class PrototypeModel(PrototypeEdits, BackboneModel):
    """A model whose u units are patterns of patches, each with a map over the image and one strength.

    A family sets ``addon`` and defines ``evidence`` and, for a linear head, ``class_weights``; ``strengths`` and
    ``to_maps`` say how strengths and maps follow from the evidence.

    Args:
        common: the arguments of ``zoo.layers.backbone_model.BackboneModel``.

    Attributes:
        addon: features to the features that prototypes are compared with.
    """

    addon: nn.Module

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return super().capabilities | {"affine_head"} | ({"editable"} if self.editable_by else set())

    @abstractmethod
    def evidence(self, x: Tensor) -> Tensor:
        """Return what strengths and maps of prototypes follow from, ``(b, u, h, w)``, for images ``(b, 3, s, s)``."""

    def strengths(self, evidence: Tensor) -> Tensor:
        """Return the strength ``(b, u)`` of each prototype from the evidence: its maximum."""
        return evidence.amax((2, 3))

    def to_maps(self, evidence: Tensor) -> Tensor:
        """Return the maps ``(b, k, h, w)`` to show, larger where the prototype is found, from evidence of k units."""
        return evidence

    def class_weights(self) -> Tensor:
        """Return what one unit of each strength adds to each logit, ``(c, u)``; for families with a linear head."""
        raise NotImplementedError(f"{self.name} has no linear head; it defines decide and contributions itself")

    def class_bias(self) -> Tensor | None:
        """Return the logits ``(c,)`` where all strengths are 0; None for 0."""
        return None

    def affine_head(self, x: Tensor) -> AffineHead:
        """Return the linear head; a prototype that is switched off has strength 0."""
        weight = self.class_weights()
        return AffineHead(weight, torch.zeros_like(weight), torch.zeros_like(weight[0]))

    def feature_map(self, x: Tensor) -> Tensor:
        """Return the features ``(b, d, h, w)`` that prototypes are compared with."""
        return self.addon(self.backbone(x))

    def maps(self, x: Tensor) -> Tensor:
        """Return the map ``(b, u, h, w)`` of each prototype."""
        return self.to_maps(self.evidence(x))

    def scores(self, x: Tensor) -> Tensor:
        """Return the strength ``(b, u)`` of each prototype."""
        return self.strengths(self.evidence(x))

    def encode(self, x: Tensor) -> Tensor:
        """Return the strengths ``(b, u)`` of images ``(b, 3, s, s)``."""
        return self.scores(x)

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Apply the head to the strengths, some of them set."""
        if mask is not None and value is not None:
            state = torch.where(mask, value, state)
        with torch.autocast(state.device.type, enabled=False):
            weights = self.class_weights()
            return F.linear(state.to(weights.dtype), weights, self.class_bias())  # of a model in half precision

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by weight times strength, exact; ``where`` is the map of each shown prototype."""
        evidence = self.evidence(x)
        strength = self.strengths(evidence)
        logits = self.decide(strength)
        target = self.resolve_target(logits, target)
        contribution, base = self.contributions(strength, logits, target)
        shown = self.resolve_shown(contribution, shown)
        where = self.to_maps(gather(evidence, shown)) * (shown >= 0)[..., None, None]
        return Explanation(self.units, logits, target, strength, contribution, base, shown, where)

    def contributions(self, strength: Tensor, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each prototype adds to ``logits[target]``, ``(b, u)``, and what none accounts for, ``(b,)``.

        Args:
            strength: ``(b, u)``.
            logits: ``(b, c)`` that follow from it.
            target: ``(b,)`` classes.
        """
        bias = self.class_bias()
        base = logits.new_zeros(logits.shape[0]) if bias is None else bias[target]
        return strength * self.class_weights()[target], base

    # Training.

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take one step of the optimizer, then call ``after_step``."""
        super().optimizer_step(*args, **kwargs)
        self.after_step()

    def after_step(self) -> None:
        """Constrain parameters after a step of the optimizer; by default nothing."""

    @torch.no_grad()
    def score_matrix(self, loader: Iterable[Batch]) -> tuple[Tensor, Tensor]:
        """Return strengths ``(n, u)`` and classes ``(n,)`` of a whole split in its order, gathered over ranks."""
        scores, y, _ = self._weighted_scores(loader)
        return scores, y

    def _weighted_scores(self, loader: Iterable[Batch]) -> tuple[Tensor, Tensor, Tensor]:
        """Strengths ``(n, u)``, classes ``(n,)`` and weights ``(n,)`` of a whole split."""
        self.eval()
        scores, y, weight = in_order((self.scores(b.x), b.targets, b.weights, b.index) for b in self._moved(loader))
        return scores, y, weight

    def learning_rate(self, part: str, default: float) -> float | None:
        """Return the learning rate of a part in this phase, None if it is frozen; the default without a phase."""
        return self.phase.lr.get(part) if self.phase.lr else default

    def _moved(self, loader: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches of a loader on the device of the model."""
        device = next(self.parameters()).device
        return (b.to(device) for b in loader)


def at_least_one(**sizes: int | None) -> int:
    """Return the first size; raise ValueError if one is missing or below 1."""
    for key, value in sizes.items():
        if value is None or value < 1:
            raise ValueError(f"{key} is {value}; expected at least 1")
    return next(value for value in sizes.values() if value is not None)
