"""A mixture of experts that is one wide, sparse MLP: every hidden unit of every expert is one neuron.

Yang et al., Mixture of Experts Made Intrinsically Interpretable (MoE-X), 2025. Letters: n vectors of width d, e experts
of m hidden units each, k of them selected for a vector, with gates g. ``y = sum_selected g_e W_e f(V_e x)``;
concatenated, the hidden units ``g_e f(V_e x)`` of all experts, 0 for those not selected, are the hidden layer
``(n, e m)`` of an MLP that computes the same.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.layers.moe.routing import SwitchRouter, choose
from zoo.layers.transformer.block import BlockMlp, Visit, same, wants


class Experts(BlockMlp):
    """The MLP of a block as a mixture of experts.

    A pass hands ``visit`` two places: ``route`` ``(..., e)`` the scores of the experts, and ``hidden`` ``(..., e m)``
    all hidden units times their gates. Both can be changed; a unit that is set has its effect even if its expert was
    not selected.

    Args:
        width: d.
        hidden: m, of each expert.
        router: computes scores ``(n, e)`` from vectors ``(n, d)`` and weights ``(e, d, m)``.
        experts: e.
        k: experts selected for each vector. Their gates sum to 1; but with a learned router and k = 1 the gate is the
            probability among all experts, because the router would get no gradient from a constant gate.
        activation: f.

    Raises:
        ValueError: if a size is out of range.

    Example:
        >>> from zoo.layers.moe.routing import SwitchRouter
        >>> Experts(8, 4, SwitchRouter(8, 3), experts=3, k=1)(torch.ones(5, 8)).shape
        torch.Size([5, 8])
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        router: nn.Module,
        *,
        experts: int,
        k: int,
        activation: Literal["relu", "gelu"] = "relu",
    ) -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"hidden is {hidden}; expected 1 or more units of each expert")
        if not 1 <= k <= experts:
            raise ValueError(f"k is {k}; expected 1 to the {experts} experts")
        self.k = k
        self.activation = activation
        self.router = router
        self.inner = nn.Parameter(torch.randn(experts, width, hidden) * width**-0.5)
        self.out = nn.Parameter(torch.randn(experts, hidden, width) * (k / hidden) ** 0.5)  # the scale of a dense MLP

    @property
    def out_features(self) -> int:
        """Number of neurons: e m."""
        return self.out.shape[0] * self.out.shape[1]

    def effects(self, direction: Tensor) -> Tensor:
        """Return what activation 1 of each neuron ``(..., e m)`` adds along a direction ``(..., d)`` of the output."""
        return direction @ self.out.flatten(0, 1).mT

    @torch.no_grad()
    def silence(self, neuron: int) -> None:
        """Set the output weights of one of the e m neurons to 0, in place."""
        self.out.flatten(0, 1)[neuron] = 0.0

    def forward(self, x: Tensor, visit: Visit = same, layer: int = 0) -> Tensor:
        """Map ``(..., d)`` to ``(..., d)``."""
        flat = x.flatten(0, -2)
        lead = x.shape[:-1]
        experts = len(self.inner)
        score = self.router(flat, self.inner)
        if wants(visit, "route"):
            score = visit(layer, "route", score.unflatten(0, lead)).flatten(0, -2)
        ids, gate = choose(score, self.k, whole=self.k == 1 and isinstance(self.router, SwitchRouter))
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else self.inner.dtype
        inner = self.inner.to(dtype)
        out = self.out.to(dtype)

        if torch.compiler.is_exporting():
            wide = self._all_hidden(flat, ids, gate).unflatten(0, lead)
            return visit(layer, "hidden", wide) @ self.out.flatten(0, 1)
        order = ids.flatten().argsort(stable=True)  # by expert
        of = ids.flatten()[order]
        ends = torch.searchsorted(of, torch.arange(experts, device=of.device), right=True)
        token = order // self.k
        hidden = grouped(flat.to(dtype)[token], inner, ends)
        hidden = F.relu(hidden) if self.activation == "relu" else F.gelu(hidden)
        hidden = hidden * gate.to(dtype).flatten()[order, None]
        back = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        y = grouped(hidden, out, ends)[back].view(len(flat), self.k, x.shape[-1]).sum(1)

        if wants(visit, "hidden"):
            rows = hidden.new_zeros(len(flat) * experts, hidden.shape[1]).index_copy(0, token * experts + of, hidden)
            wide = rows.view(*lead, self.out_features)
            changed = visit(layer, "hidden", wide)
            if changed is not wide:
                y = y + (changed - wide).to(dtype).flatten(0, -2) @ out.flatten(0, 1)
        return y.view(x.shape)

    def _all_hidden(self, flat: Tensor, ids: Tensor, gate: Tensor) -> Tensor:
        """Return all hidden units ``(n, e m)``, computed for every expert: a graph cannot sort by expert."""
        hidden = torch.einsum("nd,edm->nem", flat, self.inner)
        hidden = F.relu(hidden) if self.activation == "relu" else F.gelu(hidden)
        gates = gate.new_zeros(flat.shape[0], self.inner.shape[0]).scatter(1, ids, gate)
        return (hidden * gates[:, :, None]).flatten(1)


def grouped(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """Multiply vectors ``(n, i)``, sorted by expert, by the matrix of their expert ``(e, i, o)``: ``(n, o)``.

    Args:
        x: the vectors.
        weight: the matrices.
        ends: ``(e,)`` where the vectors of each expert end; an expert can have none.
    """
    if not _fits(x, weight):
        return looped(x, weight, ends)
    product = _Contiguous.apply(F.grouped_mm(x, weight, offs=ends.to(torch.int32)))
    assert isinstance(product, Tensor)
    return product


def looped(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """Compute the same as ``grouped``, one expert after the other: any dtype, any width."""
    sizes = ends.diff(prepend=ends.new_zeros(1)).tolist()
    return torch.cat([part @ matrix for part, matrix in zip(x.split(sizes), weight, strict=True)])


def _fits(x: Tensor, weight: Tensor) -> bool:
    """Return whether torch's grouped product takes these: rows of multiples of 16 bytes; on a GPU bfloat16 only."""
    aligned = all(side * weight.element_size() % 16 == 0 for side in weight.shape[1:])
    if not (aligned and len(x) and hasattr(F, "grouped_mm")):
        return False
    if x.device.type == "cuda":
        return x.dtype == torch.bfloat16 and torch.cuda.get_device_capability(x.device) >= (8, 0)
    single = x.dtype == torch.float32 and not torch.compiler.is_compiling()  # compiled, it supports bfloat16 only
    return single or x.dtype in (torch.bfloat16, torch.float16)


class _Contiguous(torch.autograd.Function):
    """The identity, with a contiguous gradient, which the backward pass of the grouped product needs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Tensor:
        return gradient[0].contiguous()
