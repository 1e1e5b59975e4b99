"""Gumbel-softmax at one temperature: of logits, and of where an attention head looks; with explicit derivatives.

Each function saves one or two tensors for its derivative and works in place: small networks are limited by memory
traffic. Source: Jang, Gu, Poole, Categorical Reparameterization with Gumbel-Softmax, ICLR 2017.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

TINY = 1e-20  # smallest argument of a logarithm
FAINT = 1e-10  # sum of matches at which half of the attention goes to the first position


class Sampler:
    """Relaxed or hard choices.

    Args:
        tau: temperature.
        hard: take the most probable choice instead of sampling.
        noise: whether to add Gumbel noise.

    Example:
        >>> Sampler(1.0, hard=True)(torch.tensor([[1.0, 3.0, 2.0]]), dim=1)
        tensor([[0., 1., 0.]])
    """

    def __init__(self, tau: float, *, hard: bool = False, noise: bool = True) -> None:
        self.tau = tau
        self.hard = hard
        self.noise = noise

    def __call__(self, logits: Tensor, dim: int) -> Tensor:
        """Return the choice along ``dim``, with the shape of the logits."""
        if not logits.numel():
            return logits
        if self.hard:
            return _largest(logits, dim)
        chosen: Tensor = _Choice.apply(logits, self._negative_noise(logits), dim, self.tau)
        return chosen

    def attend(self, match: Tensor, bias: Tensor, hidden: Tensor, scale: float) -> Tensor:
        """Return the attention of heads: to matching positions, or to the first position if none matches.

        Args:
            match: ``(r, h, j, b, i)`` how well position j has what position i wants.
            bias: ``(j, 1, i)`` added to the log of a match.
            hidden: ``(j, b, i)`` bool, whether position i cannot attend to position j.
            scale: factor of the logits.

        Returns:
            Attention ``(r, h, j, b, i)``, which sums to 1 over j.
        """
        if self.hard:
            logits = _with_first(match, hidden)[0].add_(TINY).log_().add_(bias).masked_fill_(hidden, -torch.inf)
            return _largest(logits, 2)
        attention: Tensor = _Attention.apply(match, bias, hidden, self._negative_noise(match), scale, self.tau)
        return attention

    def _negative_noise(self, like: Tensor) -> Tensor | None:
        """Return the negative of Gumbel noise."""
        if not self.noise:
            return None
        return torch.rand_like(like).clamp_min_(TINY).log_().neg_().clamp_min_(TINY).log_()


def _largest(logits: Tensor, dim: int) -> Tensor:
    return torch.zeros_like(logits).scatter_(dim, logits.argmax(dim, keepdim=True), 1.0)


def _with_first(match: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Return a copy of the visible matches and their sums; where these vanish, the first position matches."""
    match = match.masked_fill(hidden, 0)
    total = match.sum(2)
    match[:, :, 0] += (1 - total / (total + FAINT)).relu_()
    return match, total


def _softmax_gradient(grad: Tensor, chosen: Tensor, dim: int) -> Tensor:
    """Return the gradient of the logits, given that of their softmax."""
    product = grad * chosen
    return product.sub_(chosen * product.sum(dim, keepdim=True))


class _Choice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, negative_noise: Tensor | None, dim: int, tau: float) -> Tensor:
        noisy = logits.clone() if negative_noise is None else torch.sub(logits, negative_noise, out=negative_noise)
        chosen = noisy.div_(tau).softmax(dim)
        ctx.save_for_backward(chosen)
        ctx.dim = dim
        ctx.tau = tau
        return chosen

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _softmax_gradient(grads[0], ctx.saved_tensors[0], ctx.dim).div_(ctx.tau), None, None, None


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        match: Tensor,
        bias: Tensor,
        hidden: Tensor,
        negative_noise: Tensor | None,
        scale: float,
        tau: float,
    ) -> Tensor:
        match, total = _with_first(match, hidden)
        match.add_(TINY)
        logits = match.log().add_(bias).masked_fill_(hidden, -1e30).mul_(scale)
        noisy = logits if negative_noise is None else logits.sub_(negative_noise)
        chosen = noisy.div_(tau).softmax(2)
        ctx.save_for_backward(chosen, match, total, hidden)
        ctx.rate = scale / tau
        return chosen

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        chosen, match, total, hidden = ctx.saved_tensors
        grad = _softmax_gradient(grads[0], chosen, 2).mul_(ctx.rate).div_(match)
        first = (total + FAINT).square_().reciprocal_().mul_(-FAINT).mul_(grad[:, :, 0])
        grad += torch.where(total / (total + FAINT) < 1, first, first.new_zeros(()))[:, :, None]
        return grad.masked_fill_(hidden, 0), None, None, None, None, None
