"""Many small multilayer perceptrons trained at once, each on a label of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

RATE = 0.02
DECAY = 1e-3


@torch.enable_grad()
def fit_networks(
    x: Tensor, y: Tensor, hidden: Sequence[int], *, steps: int = 150, shared: bool = False, seed: int = 0
) -> Callable[[Tensor], Tensor]:
    """Fit binary classifiers by full-batch Adam and return the function that gives their logits.

    Args:
        x: ``(n, d)`` float64 inputs.
        y: ``(n, q)`` labels.
        hidden: widths of the hidden layers, with ReLU.
        steps: of the optimizer.
        shared: one network with q outputs, instead of q networks with one.
        seed: of the initial weights.

    Returns:
        Maps ``(..., b, d)`` to ``(..., b, q)``; with networks of their own, ``(b, d)`` to ``(b, q)``.

    Example:
        >>> x = torch.linspace(-1, 1, 40).double()[:, None]
        >>> logits = fit_networks(x, (x.abs() > 0.5).double(), [16])(x)
        >>> float(((logits > 0) == (x.abs() > 0.5)).double().mean()) > 0.9
        True
    """
    generator = torch.Generator().manual_seed(seed)
    networks = () if shared else (y.shape[1],)
    widths = [x.shape[1], *hidden, y.shape[1] if shared else 1]
    layers: list[tuple[Tensor, Tensor]] = []
    for before, after in zip(widths, widths[1:], strict=False):
        weight = torch.randn(*networks, before, after, generator=generator, dtype=torch.float64) * (2 / before) ** 0.5
        layers.append((weight.requires_grad_(True), torch.zeros(*networks, 1, after).double().requires_grad_(True)))

    def logits(inputs: Tensor) -> Tensor:
        h = inputs if shared else inputs.expand(*networks, *inputs.shape)
        for number, (weight, bias) in enumerate(layers):
            h = h @ weight + bias
            h = h.relu() if number < len(layers) - 1 else h
        return h if shared else h[..., 0].T

    optimizer = torch.optim.Adam([p for layer in layers for p in layer], lr=RATE, weight_decay=DECAY)
    for _ in range(steps):
        loss = F.binary_cross_entropy_with_logits(logits(x), y, reduction="none").mean(0).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return lambda inputs: logits(inputs).detach()
