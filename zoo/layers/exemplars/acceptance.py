"""When an answer is accepted: thresholds of probability for each class, and of the distance from training samples."""

from __future__ import annotations

import math

import torch
from torch import Tensor

NEVER = 2.0  # a threshold that no probability reaches
FARTHEST = torch.finfo(torch.float64).max


def acceptance(p: Tensor, answer: Tensor, label: Tensor, classes: int, accuracy: float) -> Tensor:
    """Return for each class the smallest probability from which its answers are accurate enough, ``(c,)`` float64.

    At a threshold t, of the samples with a probability of t or more: the share of right ones among those answered with
    the class, and the share of right ones among those of the class, both at least ``accuracy``. Above 1 where no
    threshold gives that.

    Args:
        p: ``(n,)`` probability of the answer; negative for answers that are never accepted.
        answer: ``(n,)`` predicted class.
        label: ``(n,)`` true class.
        classes: c.
        accuracy: wanted.

    Example:
        >>> p, answer = torch.tensor([0.75, 0.5, 0.25]), torch.tensor([0, 0, 0])
        >>> acceptance(p, answer, torch.tensor([0, 0, 1]), 2, 0.95).tolist()
        [0.5, 2.0]
    """
    p, order = p.double().sort(descending=True)
    answer, label = answer[order], label[order]
    right = (answer == label) & (p >= 0)
    last = torch.ones_like(right)
    last[:-1] = p[1:] < p[:-1]  # equal probabilities are accepted together
    own = torch.arange(classes, device=p.device)[:, None]
    answered, true = ((t == own) & (p >= 0) for t in (answer, label))
    good = (right & answered).cumsum(1)
    needed = accuracy - 1e-9
    fits = (good >= needed * answered.cumsum(1)) & (good >= needed * true.cumsum(1)) & (good > 0) & last & (p >= 0)
    return torch.where(fits, p, NEVER).amin(1)


def limit_of(distance: Tensor, far: float) -> float:
    """Return the distance from which on an input is among the share ``far`` of farthest ones.

    An input is, if less than ``far`` of the validation samples, with distances ``(v,)``, and the input itself are at
    least as far. With few samples no input can be, and the limit is infinite (the largest float).

    Example:
        >>> limit_of(torch.tensor([1.0, 2.0, 3.0, 4.0]), 0.5), limit_of(torch.tensor([1.0]), 0.1) == FARTHEST
        (3.0, True)
    """
    beyond = math.ceil(far * (1 + len(distance)) - 1 - 1e-9)  # so many must be farther
    if beyond <= 0:
        return FARTHEST
    return float(distance.double().sort(descending=True).values[beyond - 1])
