"""What concept models share: the loss on concepts, their values, hard decisions, RandInt, and two-sided embeddings.

Koh et al., Concept Bottleneck Models, ICML 2020; Espinosa Zarlenga et al., Concept Embedding Models, NeurIPS 2022.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.concept_schema import ConceptSchema


class ConceptSpace(nn.Module):
    """The arithmetic of m concepts of any kind; it has no parameters.

    Args:
        schema: what the columns mean.

    Attributes:
        kind: ``(m,)`` 0 binary, 1 categorical, 2 continuous.
        group: ``(m,)`` number of each column's group.
        size: ``(m,)`` how many columns make one concept: those of a categorical group, else 1.
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
        facts = {"kind": kind, "group": schema.group_ids}
        facts |= {k: torch.tensor([getattr(c, k) for c in schema.concepts]) for k in ("mean", "std")}
        facts["size"] = torch.where(kind == 1, torch.bincount(schema.group_ids)[schema.group_ids], 1)
        for name, value in facts.items():
            self.register_buffer(name, value, persistent=False)  # the config carries the schema

    def values(self, logits: Tensor) -> Tensor:
        """Concepts ``(..., m)`` as probabilities, continuous ones in their own unit, from logits ``(..., m)``."""
        logits = _wide(logits)
        return torch.where(
            self.kind == 0,
            logits.sigmoid(),
            torch.where(self.kind == 1, self._log_softmax(logits).exp(), self.mean + self.std * logits),
        )

    def hard(self, logits: Tensor) -> Tensor:
        """Concepts ``(..., m)`` decided: 0 or 1, the largest of a group. Gradients pass as those of ``values``."""
        soft = self.values(logits)
        top = logits == self._most(logits).index_select(-1, self.group)
        first = top & (self._place(top) == 1)  # a tie goes to the first
        decided = torch.where(self.kind == 0, (soft >= 0.5).to(soft), torch.where(self.kind == 1, first.to(soft), soft))
        return soft + (decided - soft).detach() if soft.requires_grad else decided

    def loss(self, logits: Tensor, truth: Tensor, *, odds: Tensor | None = None) -> Tensor:
        """Mean loss over the known concepts: so that its weight means the same for 12 of them and for 112.

        Args:
            logits: ``(b, m)``
            truth: ``(b, m)`` NaN where unknown.
            odds: ``(m,)`` weight of the positive examples of binary concepts; None for 1.

        Returns:
            Binary cross-entropy per binary column, cross-entropy per categorical group (spread over its columns, so
            that a group counts as one concept), squared error in units of std per continuous column.
        """
        logits = _wide(logits)
        known, filled = truth.isfinite(), truth.nan_to_num()
        binary = F.binary_cross_entropy_with_logits(logits, filled.clamp(0, 1), pos_weight=odds, reduction="none")
        categorical = -self._log_softmax(logits) * filled
        continuous = (logits - (filled - self.mean) / self.std).square()
        each = torch.where(self.kind == 0, binary, torch.where(self.kind == 1, categorical, continuous))
        return (each * known).sum() / (known.to(logits) / self.size).sum().clamp_min(1)

    def standard(self, values: Tensor) -> Tensor:
        """Values as a head reads them: continuous ones in units of std around the mean."""
        return torch.where(self.kind == 2, (values - self.mean) / self.std, values)

    def random_groups(self, b: int, rate: float) -> Tensor:
        """RandInt: ``(b, m)`` bool, each group of each sample true with probability ``rate``, from torch's state.

        The published code draws one mask for the whole batch; here every sample has its own.
        """
        return (torch.rand(b, self.groups, device=self.mean.device) < rate)[:, self.group]

    def _most(self, logits: Tensor) -> Tensor:
        out = logits.new_full((*logits.shape[:-1], self.groups), -torch.inf)
        return out.scatter_reduce(-1, self.group.expand(logits.shape), logits, "amax")

    def _log_softmax(self, logits: Tensor) -> Tensor:
        shifted = logits - self._most(logits).detach().index_select(-1, self.group)
        exp = shifted.exp()
        total = exp.new_zeros(*exp.shape[:-1], self.groups).index_add(-1, self.group, exp)
        return shifted - total.log().index_select(-1, self.group)

    def _place(self, top: Tensor) -> Tensor:
        """Which true entry of its group each column is, counted from 1."""
        before = (self.group[:, None] == self.group) & torch.ones_like(self.group.outer(self.group)).triu().bool()
        return (top.to(self.mean) @ before.to(self.mean)).long()


def _wide(logits: Tensor) -> Tensor:
    """In single precision at least: sums of exponentials are too coarse in half."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


class ConceptEmbeddings(nn.Module):
    """Two embeddings of each concept, one for it being true and one for it being false, and one scorer for all.

    Args:
        inputs: width d of the features.
        concepts: m.
        width: of one embedding.
    """

    def __init__(self, inputs: int, concepts: int, width: int) -> None:
        super().__init__()
        self.shape = (concepts, 2 * width)
        self.context = nn.Linear(inputs, concepts * 2 * width)
        self.scorer = nn.Linear(2 * width, 1)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``(b, d)`` to concept logits ``(b, m)`` and contexts ``(b, m, 2 * width)``: true, then false."""
        context = F.leaky_relu(self.context(h)).unflatten(-1, self.shape)
        return self.scorer(context)[..., 0], context


def mix(context: Tensor, p: Tensor) -> Tensor:
    """Embeddings ``(..., m, width)``: ``p`` ``(..., m)`` of the true one and the rest of the false one."""
    true, false = context.chunk(2, dim=-1)
    return false + p[..., None] * (true - false)
