"""Soft choices: Gumbel-softmax at one temperature, of logits and of where a head looks; with derivatives by hand.

Each keeps one or two tensors for its derivative and works in place: small networks spend most of their time on memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

TINY = 1e-20
FAINT = 1e-10  # a sum of matches beside which the first position counts


class Sampler:
    """Takes choices softly.

    Args:
        tau: temperature.
        hard: take the largest instead.
        noise: whether to add noise.
    """

    def __init__(self, tau: float, *, hard: bool = False, noise: bool = True) -> None:
        self.tau, self.hard, self.noise = tau, hard, noise

    def __call__(self, logits: Tensor, dim: int) -> Tensor:
        """The choice of logits along ``dim``, of the same shape."""
        if not logits.numel():
            return logits
        return _largest(logits, dim) if self.hard else _Choice.apply(logits, self._drawn(logits), dim, self.tau)

    def attend(self, match: Tensor, bias: Tensor, hidden: Tensor, scale: float) -> Tensor:
        """Where heads look: at matches, the nearest first; at the first position where nothing matches.

        Args:
            match: ``(r, h, j, b, i)`` how far position j has what i wants.
            bias: ``(j, 1, i)`` added to the log of a match.
            hidden: ``(j, b, i)`` bool, whether position j is not seen from i.
            scale: of the logits.

        Returns:
            Attention ``(r, h, j, b, i)``, which sums to 1 over j.
        """
        if self.hard:
            return _largest(
                _with_first(match, hidden)[0].add_(TINY).log_().add_(bias).masked_fill_(hidden, -torch.inf), 2
            )
        return _Look.apply(match, bias, hidden, self._drawn(match), scale, self.tau)

    def _drawn(self, like: Tensor) -> Tensor | None:
        """The negative of Gumbel noise."""
        if not self.noise:
            return None
        return torch.rand_like(like).clamp_min_(TINY).log_().neg_().clamp_min_(TINY).log_()


def _largest(logits: Tensor, dim: int) -> Tensor:
    return torch.zeros_like(logits).scatter_(dim, logits.argmax(dim, keepdim=True), 1.0)


def _with_first(match: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """A copy of the matches seen, with 1 more at the first position where they sum to nothing; and their sums."""
    match = match.masked_fill(hidden, 0)
    total = match.sum(2)
    match[:, :, 0] += (1 - total / (total + FAINT)).relu_()
    return match, total


def _back(grad: Tensor, chosen: Tensor, dim: int) -> Tensor:
    """Derivative of softmax, from that of what was chosen."""
    product = grad * chosen
    return product.sub_(chosen * product.sum(dim, keepdim=True))


class _Choice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, noise: Tensor | None, dim: int, tau: float) -> Tensor:
        noisy = logits.clone() if noise is None else torch.sub(logits, noise, out=noise)
        chosen = noisy.div_(tau).softmax(dim)
        ctx.save_for_backward(chosen)
        ctx.dim, ctx.tau = dim, tau
        return chosen

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _back(grads[0], ctx.saved_tensors[0], ctx.dim).div_(ctx.tau), None, None, None


class _Look(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, match: Tensor, bias: Tensor, hidden: Tensor, noise: Tensor | None, scale: float, tau: float
    ) -> Tensor:
        match, total = _with_first(match, hidden)
        match.add_(TINY)
        logits = match.log().add_(bias).masked_fill_(hidden, -1e30).mul_(scale)
        chosen = (logits if noise is None else logits.sub_(noise)).div_(tau).softmax(2)
        ctx.save_for_backward(chosen, match, total, hidden)
        ctx.rate = scale / tau
        return chosen

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        chosen, match, total, hidden = ctx.saved_tensors
        grad = _back(grads[0], chosen, 2).mul_(ctx.rate).div_(match)
        first = (total + FAINT).square_().reciprocal_().mul_(-FAINT).mul_(grad[:, :, 0])
        grad += torch.where(total / (total + FAINT) < 1, first, first.new_zeros(()))[:, :, None]
        return grad.masked_fill_(hidden, 0), None, None, None, None, None
