"""A mixture of experts that is one wide, sparse MLP: every hidden unit of every expert is a neuron of its own.

Yang et al., Mixture of Experts Made Intrinsically Interpretable (MoE-X), 2025. Letters: n vectors of width d, e experts
of m hidden units each, k of them chosen for a vector, with gates g. ``y = sum_chosen g_e W_e f(V_e x)``; beside each
other, the hidden units ``g_e f(V_e x)`` of all experts, 0 for those not chosen, are the hidden layer ``(n, e m)`` of an
MLP that computes the same.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.layers.moe.routing import SwitchRouter, choose
from zoo.layers.transformer.decoder import Visit, same, wants


class Experts(nn.Module):
    """Takes the place of the MLP of a block.

    A pass shows ``visit`` two places: ``route`` ``(..., e)`` the scores of the experts, and ``hidden`` ``(..., e m)``
    all hidden units times their gates. Both may be changed; a unit that is set takes part even if its expert was not
    chosen.

    Args:
        width: d.
        hidden: m, of each expert.
        router: gives scores ``(n, e)`` of vectors ``(n, d)`` and weights ``(e, d, m)``.
        experts: e.
        k: chosen for each vector. The gates of the chosen sum to 1; but those of one that a learnt router chooses
            alone are its chance among all, or the router would learn nothing.
        activation: f.

    Raises:
        ValueError: if a size is out of range.
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
        self.k, self.activation, self.router = k, activation, router
        self.inner = nn.Parameter(torch.randn(experts, width, hidden) * width**-0.5)
        self.out = nn.Parameter(torch.randn(experts, hidden, width) * (k / hidden) ** 0.5)  # as loud as a dense MLP

    @property
    def out_features(self) -> int:
        """Neurons: e m."""
        return self.out.shape[0] * self.out.shape[1]

    def effects(self, direction: Tensor) -> Tensor:
        """What one of each neuron ``(..., e m)`` adds along a direction ``(..., d)`` of the output."""
        return direction @ self.out.flatten(0, 1).mT

    def forward(self, x: Tensor, visit: Visit = same, layer: int = 0) -> Tensor:
        """``(..., d)`` of ``(..., d)``."""
        flat, lead, experts = x.flatten(0, -2), x.shape[:-1], len(self.inner)
        score = self.router(flat, self.inner)
        if wants(visit, "route"):
            score = visit(layer, "route", score.unflatten(0, lead)).flatten(0, -2)
        ids, gate = choose(score, self.k, whole=self.k == 1 and isinstance(self.router, SwitchRouter))
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else self.inner.dtype
        inner, out = self.inner.to(dtype), self.out.to(dtype)

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
            seen = visit(layer, "hidden", wide)
            if seen is not wide:  # nothing is lost where nothing changed
                y = y + (seen - wide).to(dtype).flatten(0, -2) @ out.flatten(0, 1)
        return y.view(x.shape)


def grouped(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """Vectors ``(n, i)``, sorted by expert, each times the matrix of its expert ``(e, i, o)``: ``(n, o)``.

    Args:
        x: the vectors.
        weight: the matrices.
        ends: ``(e,)`` where the vectors of each expert end; an expert may have none.
    """
    if not _fits(x, weight):
        return looped(x, weight, ends)
    return _Contiguous.apply(F.grouped_mm(x, weight, offs=ends.to(torch.int32)))


def looped(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """The same, one expert after the other: any type, any width."""
    sizes = ends.diff(prepend=ends.new_zeros(1)).tolist()
    return torch.cat([some @ one for some, one in zip(x.split(sizes), weight, strict=True)])


def _fits(x: Tensor, weight: Tensor) -> bool:
    """Whether torch's grouped product takes these: rows of whole 16 bytes; on a GPU bfloat16 only."""
    whole = all(side * weight.element_size() % 16 == 0 for side in weight.shape[1:])
    if not (whole and len(x) and hasattr(F, "grouped_mm")):
        return False
    if x.device.type == "cuda":
        return x.dtype == torch.bfloat16 and torch.cuda.get_device_capability(x.device) >= (8, 0)
    single = x.dtype == torch.float32 and not torch.compiler.is_compiling()  # compiled, it is for bfloat16 alone
    return single or x.dtype in (torch.bfloat16, torch.float16)


class _Contiguous(torch.autograd.Function):
    """Passes a value on, and gives its gradient an own place in memory, without which the grouped product fails."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Tensor:
        return gradient[0].contiguous()
