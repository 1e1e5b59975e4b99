"""Temperature scaling: one number that calibrates probabilities, fitted on validation samples.

Guo, Pleiss, Sun, Weinberger, On Calibration of Modern Neural Networks, ICML 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor

TEMPERATURES = (0.05, 20.0)  # range in which the temperature is sought; lower where logits differ by less than 1


def fit_temperature(logits: Tensor, y: Tensor, weight: Tensor | None = None) -> float:
    """Return the temperature of least log loss.

    The log loss is convex in 1 / temperature, which is found by bisection of its derivative. At the ends of
    ``TEMPERATURES`` the end is taken, for example where every sample is classified correctly. Where the logits of a
    sample differ by less than 1 on average, such as those of a model whose logits are probabilities, the lower end is
    multiplied by that difference.

    Args:
        logits: ``(n, c)``.
        y: ``(n,)`` int64.
        weight: ``(n,)`` of the samples; None for equal ones.

    >>> fit_temperature(torch.tensor([[4.0, 0.0], [4.0, 0.0], [0.0, 4.0]]), torch.tensor([0, 1, 1])) > 2
    True
    """
    z = logits.detach().double()
    share = torch.ones(len(z), dtype=z.dtype, device=z.device) if weight is None else weight.to(z)
    share = share / share.sum()
    right = z.gather(1, y[:, None])[:, 0]

    def slope(beta: float) -> float:
        """Derivative of the mean log loss by beta = 1 / temperature."""
        return float((share * ((torch.softmax(z * beta, 1) * z).sum(1) - right)).sum())

    spread = float((share * (z.max(1).values - z.min(1).values)).sum())
    lowest = TEMPERATURES[0] * min(1.0, max(spread, 1e-6))
    low, high = 1 / TEMPERATURES[1], 1 / lowest
    if slope(low) >= 0:
        return TEMPERATURES[1]
    if slope(high) <= 0:
        return lowest
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 2 / (low + high)
