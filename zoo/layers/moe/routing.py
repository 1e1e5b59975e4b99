"""Selection of experts: by expected sparsity of their hidden units, or by a learned router.

Yang et al., Mixture of Experts Made Intrinsically Interpretable (MoE-X), 2025; Fedus, Zoph, Shazeer, Switch
Transformers, 2022. Letters: n vectors of width d, e experts of m hidden units each, k experts selected. A router
computes scores ``(n, e)`` whose softmax is the probability of each expert. Nothing depends on the other vectors of a
batch: there is no expert capacity.
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

GateForm = Literal["neg_erf", "neg_phi"]


class Steps:
    """Counts the steps of all optimizers, because fused ones do not increase the version counter of weights.

    Attributes:
        made: number of steps.
    """

    def __init__(self) -> None:
        self.made = 0
        register_optimizer_step_post_hook(self._count)

    def _count(self, *_: Any) -> None:
        self.made += 1


STEPS = Steps()


class SparsityGate(nn.Module):
    """Scores experts by how few of their ReLU units a vector is expected to activate, without computing them.

    The weights from input i to the hidden units of an expert are modeled as draws from a normal distribution with their
    mean and variance; then a hidden unit is positive for input x with probability ``P = (1 + erf(z / sqrt 2)) / 2``,
    where ``z = sum_i x_i mean_i / sqrt(sum_i x_i^2 var_i)``. The score is ``-erf(z / sqrt 2)``, or ``-P``, half of that
    but for a constant. There are no parameters: means and variances are those of the experts' own weights.

    Where gradients are recorded, mean and variance are part of the graph, so that weights also get gradients from the
    gate. Otherwise they are computed once for each state of the weights and cached until an optimizer has made a step,
    or the weights are written to or moved (writing through ``.data`` is not noticed). All in float32 or wider.

    Args:
        form: of the score.
        temperature: divides the score. Scores differ by at most 2, with ``neg_phi`` by 1: at temperature 1 the softmax
            is nearly uniform, so the gate selects experts but hardly weights them.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> SparsityGate()(torch.ones(2, 4), torch.ones(3, 4, 5)).shape
        torch.Size([2, 3])
    """

    def __init__(self, form: GateForm = "neg_erf", *, temperature: float = 1.0) -> None:
        super().__init__()
        if form not in get_args(GateForm):
            raise ValueError(f"gate_form is {form!r}; expected one of {', '.join(get_args(GateForm))}")
        if not (temperature > 0 and math.isfinite(temperature)):
            raise ValueError(f"temperature is {temperature}; expected a number above 0")
        self.form = form
        self.temperature = temperature
        self._known: tuple[Tensor, tuple[Any, ...], tuple[Tensor, Tensor]] | None = None

    def forward(self, x: Tensor, inner: Tensor) -> Tensor:
        """Return scores ``(n, e)`` of vectors ``(n, d)`` for experts with weights ``(e, d, m)``."""
        return (-1.0 if self.form == "neg_erf" else -0.5) / self.temperature * torch.erf(self.standing(x, inner))

    def active(self, x: Tensor, inner: Tensor) -> Tensor:
        """Return the expected fraction of active hidden units ``(n, e)``."""
        return (1 + torch.erf(self.standing(x, inner))) / 2

    def standing(self, x: Tensor, inner: Tensor) -> Tensor:
        """Return mean / standard deviation / sqrt 2 of an expert's hidden units before the ReLU, ``(n, e)``."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            mean, variance = (part.to(x.dtype) for part in self.moments(inner))
            spread = (2 * (x.square() @ variance.mT)).clamp_min(torch.finfo(x.dtype).tiny)
            return (x @ mean.mT) * spread.rsqrt()

    def moments(self, inner: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance over the hidden units, ``(e, d)`` each, cached where that is safe; see the class."""
        learning = torch.is_grad_enabled() and inner.requires_grad
        if learning or torch.compiler.is_compiling() or inner.is_inference():
            return moments(inner)
        state = (STEPS.made, inner._version, inner.data_ptr(), inner.dtype, inner.device)
        if self._known is None or self._known[0] is not inner or self._known[1] != state:
            with torch.inference_mode(False), torch.no_grad():  # the cache can later be used in a pass with gradients
                self._known = inner, state, moments(inner)
        return self._known[2]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the cache out of copies: their weights are others, with their own version counters."""
        return {**self.__dict__, "_known": None}


class SwitchRouter(nn.Module):
    """A learned linear score for each expert.

    Args:
        width: d.
        experts: e.

    Example:
        >>> SwitchRouter(4, experts=3)(torch.ones(2, 4), torch.empty(0)).shape
        torch.Size([2, 3])
    """

    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, experts, bias=False)

    def forward(self, x: Tensor, inner: Tensor) -> Tensor:
        """Return scores ``(n, e)`` of vectors ``(n, d)``; the experts' weights ``inner`` are not used."""
        with torch.autocast(x.device.type, enabled=False):
            return x.to(self.linear.weight.dtype) @ self.linear.weight.mT


def moments(inner: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance ``(e, d)`` of weights ``(e, d, m)`` over the hidden units of each input row."""
    variance, mean = torch.var_mean(inner.to(torch.promote_types(inner.dtype, torch.float32)), -1, correction=0)
    return mean, variance


def choose(score: Tensor, k: int, *, whole: bool = False) -> tuple[Tensor, Tensor]:
    """Return the k experts of highest score, ties in order, and their gates, ``(..., k)`` each, of ``(..., e)``.

    The gates are the softmax over the selected experts, so they sum to 1; with ``whole`` over all experts.

    Example:
        >>> ids, gates = choose(torch.tensor([[1.0, 3.0, 1.0]]), k=2)
        >>> ids.tolist(), round(float(gates.sum()), 4)
        ([[1, 0]], 1.0)
    """
    if torch.compiler.is_exporting():  # ONNX has no stable sort; its top-k keeps ties in order
        ranked, order = score.sort(dim=-1, descending=True)
    else:
        ranked, order = score.sort(dim=-1, descending=True, stable=True)
    gate = ranked.softmax(-1)[..., :k] if whole else ranked[..., :k].softmax(-1)
    return order[..., :k], gate


def balance(score: Tensor, k: int) -> Tensor:
    """Return the load balance loss of Switch for scores ``(n, e)``: ``e sum_e f_e P_e``, 1 for equal use.

    ``f`` is the fraction of the n k selections that fell on an expert, ``P`` its mean probability among *all* experts;
    only P has a gradient.
    """
    experts = score.shape[-1]
    ids = choose(score.detach(), k)[0]
    used = torch.nn.functional.one_hot(ids, experts).to(score.dtype).mean((0, 1))
    return experts * (used * score.softmax(-1).mean(0)).sum()
