"""The base class of concept models with a sparse head on frozen features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.editing.operation import Operation
from zoo.explanation import Explanation
from zoo.layers.backbone_model import BackboneModel
from zoo.layers.bottlenecks.split_rows import split_rows
from zoo.layers.bottlenecks.standardized_head import StandardizedHead
from zoo.layers.edited_head import Rows, WeightEdits
from zoo.what_if import AffineHead

PENALTY = 1e-3  # of a head that is solved again after an edit
ALPHA = 0.99  # share of the L1 penalty


class SparseHeadModel(BackboneModel):
    """Strengths of concepts computed from features, and a sparse linear head that is fitted exactly.

    A family sets ``head`` and defines ``concept_strengths`` and, if it has a residual path, ``rest``.

    Attributes:
        head: reads the strengths, standardized.
    """

    head: StandardizedHead

    def features(self, x: Tensor) -> Tensor:
        """Return pooled features ``(b, d)``."""
        return self.backbone(x).mean((2, 3))

    @abstractmethod
    def concept_strengths(self, features: Tensor) -> Tensor:
        """Return the strengths ``(b, u)`` of features ``(b, d)``."""

    def rest(self, features: Tensor) -> Tensor:
        """Return what is added to the output of the head, ``(b, c)``, from features ``(b, d)``: 0 by default."""
        return features.new_zeros(features.shape[0], self.num_classes)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return strengths ``(b, u)`` and what is added to the output of the head ``(b, c)``."""
        features = self.features(x)
        return self.concept_strengths(features), self.rest(features)

    def decide(self, state: tuple[Tensor, Tensor], mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Apply the head to the strengths, some of them set, and add the rest."""
        strength, rest = state
        if mask is not None and value is not None:
            strength = torch.where(mask, value, strength)
        return self.in_units_of_y(self.head(strength) + rest)

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by weight times standardized strength, exact; the rest is part of ``base``."""
        strength, rest = self.encode(x)
        output = self.head(strength) + rest
        target = self.resolve_target(self.in_units_of_y(output), target)
        contribution, bias = self.head.contribution(strength, target)
        base = bias + rest.gather(1, target[:, None])[:, 0]
        shown = self.resolve_shown(contribution, shown)
        explanation = Explanation(self.units, output, target, strength, contribution, base, shown)
        return self.explained_in_units_of_y(explanation)

    def affine_head(self, x: Tensor) -> AffineHead:
        """Return the head; a concept that is switched off has its mean strength over the training split."""
        scale = self.task.scale
        weight = self.head.linear.weight / self.head.std * scale
        return AffineHead(weight, -weight * self.head.mean, self.head.mean, self.head.mean)

    @torch.no_grad()
    def fit_head(
        self,
        loader: Iterable[Batch],
        *,
        penalty: float | None = None,
        nonzeros: float | None = None,
        alpha: float = 0.99,
    ) -> dict[str, float]:
        """Fit the head to the optimum of the elastic net on the training split.

        Args:
            loader: of the training split.
            penalty: lambda.
            nonzeros: mean number of weights of a class that are not 0, instead of ``penalty``.
            alpha: share of the L1 penalty.

        Raises:
            ValueError: if not exactly one of ``penalty`` and ``nonzeros`` is given.
        """
        strength, _, y, share = split_rows(self, loader, lambda x: self.encode(x)[0])
        loss = self.head_loss(y, share)
        return self.head.fit(strength, y, penalty=penalty, nonzeros=nonzeros, alpha=alpha, loss=loss)

    def edit_operations(self) -> dict[str, Operation]:
        """Return the operations on concepts, see ``zoo.layers.edited_head``; weights are of standardized strengths."""
        linear = self.head.linear
        unused = linear.weight == 0  # a sparse head stays sparse
        sign = torch.zeros_like(linear.weight, dtype=torch.float64).masked_fill(unused, torch.nan)
        edits = WeightEdits(linear.weight, linear.bias, scale=self.task.scale)
        return dict(edits.operations(self._head_rows, l1=PENALTY * ALPHA, l2=PENALTY * (1 - ALPHA), sign=sign))

    def _head_rows(self, loader: Iterable[Batch]) -> Rows:
        strength, _, y, share = split_rows(self, loader, lambda x: self.encode(x)[0])
        rest = split_rows(self, loader, lambda x: self.encode(x)[1])[0].double().cpu()
        loss = self.head_loss(y, share)
        if not bool(rest.any()):
            return Rows(self.head.standard(strength), y, loss)
        of, y = loss, y.cpu()
        added = (lambda out: F.cross_entropy(out + rest, y)) if of is None else (lambda out: of(out + rest))
        return Rows(self.head.standard(strength), y, added)

    def model_parts(self, **parts: nn.Module) -> dict[str, nn.Module | nn.Parameter]:
        """Return the trainable parts: those of the backbone, ``parts``, and the head."""
        return {**self.backbone_parts(), **parts, "head": self.head}
