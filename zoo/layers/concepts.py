"""Concepts of any kind as outputs of a network: values, losses, hard decisions, RandInt.

Koh et al., Concept Bottleneck Models, ICML 2020; Espinosa Zarlenga et al., Concept Embedding Models, NeurIPS 2022.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.concept_schema import ConceptSchema


class ConceptSpace(nn.Module):
    """Losses and values of m concept columns of any kind; it has no parameters.

    Args:
        schema: meaning of the columns.

    Attributes:
        kind: ``(m,)`` 0 binary, 1 categorical, 2 continuous.
        group: ``(m,)`` number of each column's group.
        size: ``(m,)`` number of columns of one concept: those of a categorical group, else 1.
        mean: ``(m,)`` of continuous columns.
        std: ``(m,)`` of continuous columns.

    Example:
        >>> from zoo.concept_schema import Concept, ConceptSchema
        >>> space = ConceptSpace(ConceptSchema((Concept("round"), Concept("red"))))
        >>> space.values(torch.zeros(1, 2)).tolist(), space.hard(torch.tensor([[2.0, -1.0]])).tolist()
        ([[0.5, 0.5]], [[1.0, 0.0]])
    """

    kind: Tensor
    group: Tensor
    size: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, schema: ConceptSchema) -> None:
        super().__init__()
        self.groups = len(schema.group_names)
        kind = schema.columns("categorical").long() + 2 * schema.columns("continuous").long()
        constants = {
            "kind": kind,
            "group": schema.group_ids,
            "mean": torch.tensor([c.mean for c in schema.concepts]),
            "std": torch.tensor([c.std for c in schema.concepts]),
            "size": torch.where(kind == 1, torch.bincount(schema.group_ids)[schema.group_ids], 1),
        }
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)  # the config has the schema

    def values(self, logits: Tensor) -> Tensor:
        """Return concepts ``(..., m)``: probabilities, continuous ones in their own unit, from logits ``(..., m)``."""
        logits = _wide(logits)
        categorical = self._log_softmax(logits).exp()
        continuous = self.mean + self.std * logits
        return self._by_kind(logits.sigmoid(), categorical, continuous)

    def hard(self, logits: Tensor) -> Tensor:
        """Return decided concepts ``(..., m)``: 0 or 1, the largest of a group; gradients are those of ``values``."""
        soft = self.values(logits)
        is_max = logits == self._group_max(logits).index_select(-1, self.group)
        is_first = is_max & (self._rank_in_group(is_max) == 1)  # of ties, the first
        decided = self._by_kind((soft >= 0.5).to(soft), is_first.to(soft), soft)
        return soft + (decided - soft).detach() if soft.requires_grad else decided

    def loss(self, logits: Tensor, truth: Tensor, *, odds: Tensor | None = None) -> Tensor:
        """Return the mean loss over known concepts, so that its weight does not depend on their number.

        Args:
            logits: ``(b, m)``
            truth: ``(b, m)`` NaN where unknown.
            odds: ``(m,)`` weight of positive examples of binary concepts; None for 1.

        Returns:
            Binary cross-entropy per binary column, cross-entropy per categorical group (spread over its columns, so
            that a group counts as one concept), squared error in units of std per continuous column.
        """
        known = truth.isfinite()
        losses = self.losses(logits, truth, odds=odds)
        return (losses * known).sum() / (known.to(losses) / self.size).sum().clamp_min(1)

    def losses(self, logits: Tensor, truth: Tensor, *, odds: Tensor | None = None) -> Tensor:
        """Return the loss of each column ``(..., m)``; that of a group is in the column of its value.

        Arguments as in ``loss``, ``(..., m)``; where the truth is unknown, the loss is that of 0.
        """
        logits = _wide(logits)
        filled = truth.nan_to_num().expand_as(logits)
        binary = F.binary_cross_entropy_with_logits(logits, filled.clamp(0, 1), pos_weight=odds, reduction="none")
        categorical = -self._log_softmax(logits) * filled
        continuous = (logits - (filled - self.mean) / self.std).square()
        return self._by_kind(binary, categorical, continuous)

    def sample(self, logits: Tensor) -> Tensor:
        """Return concepts ``(..., m)`` of 0 and 1 drawn from logits ``(..., m)``; gradients are those of ``values``.

        Continuous concepts are as ``values`` has them.
        """
        soft = self.values(logits)
        uniform = torch.rand(soft.shape, dtype=soft.dtype, device=soft.device).clamp(1e-6, 1 - 1e-6)
        gumbel = _wide(logits) - (-uniform.log()).log()
        is_max = gumbel == self._group_max(gumbel).index_select(-1, self.group)
        drawn = self._by_kind((uniform < soft).to(soft), is_max.to(soft), soft)
        return soft + (drawn - soft).detach()

    def standard(self, values: Tensor) -> Tensor:
        """Return values ``(..., m)`` with continuous ones standardized."""
        return torch.where(self.kind == 2, (values - self.mean) / self.std, values)

    def random_groups(self, b: int, rate: float) -> Tensor:
        """Return a random mask ``(b, m)``, each group of each sample true with probability ``rate`` (RandInt).

        The published code draws one mask for the whole batch; here every sample has its own.
        """
        return (torch.rand(b, self.groups, device=self.mean.device) < rate)[:, self.group]

    def randint(self, predicted: Tensor, truth: Tensor, rate: float) -> Tensor:
        """Return ``predicted`` ``(b, m)`` with known groups of ``truth`` ``(b, m)`` set with probability ``rate``."""
        replaced = truth.isfinite()
        if rate < 1.0:
            replaced = replaced & self.random_groups(len(predicted), rate)
        return torch.where(replaced, truth.to(predicted).nan_to_num(), predicted)

    def _by_kind(self, binary: Tensor, categorical: Tensor, continuous: Tensor) -> Tensor:
        return torch.where(self.kind == 0, binary, torch.where(self.kind == 1, categorical, continuous))

    def _group_max(self, logits: Tensor) -> Tensor:
        out = logits.new_full((*logits.shape[:-1], self.groups), -torch.inf)
        return out.scatter_reduce(-1, self.group.expand(logits.shape), logits, "amax")

    def _log_softmax(self, logits: Tensor) -> Tensor:
        shifted = logits - self._group_max(logits).detach().index_select(-1, self.group)
        exp = shifted.exp()
        total = exp.new_zeros(*exp.shape[:-1], self.groups).index_add(-1, self.group, exp)
        return shifted - total.log().index_select(-1, self.group)

    def _rank_in_group(self, mask: Tensor) -> Tensor:
        """Number of true entries of its group up to and including each column."""
        before = (self.group[:, None] == self.group) & torch.ones_like(self.group.outer(self.group)).triu().bool()
        return (mask.to(self.mean) @ before.to(self.mean)).long()


def _wide(logits: Tensor) -> Tensor:
    """Convert half precision to single: sums of exponentials need it."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
