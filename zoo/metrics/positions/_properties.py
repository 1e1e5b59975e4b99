"""Properties of positions as tables of 0 and 1, and how often they coincide with units."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.sequence_spec import Family


def not_blank(family: Family) -> Tensor:
    """``(s, k)`` bool, all answers but the blank one."""
    answers = torch.ones(len(family.questions), len(family.answers), dtype=torch.bool)
    if family.blank is not None:
        answers[:, family.blank] = False
    return answers


def present(codes: Tensor, answers: int) -> Tensor:
    """Return the properties ``(n, s * k)`` int8 of answers ``(n, s)`` to questions, -1 for none."""
    return (codes[..., None] == torch.arange(answers)).flatten(1).to(torch.int8)


def product(one: Tensor, other: Tensor) -> Tensor:
    """Return how often both are true: the product ``(n, m)`` of ``(n, r)`` and ``(r, m)`` of 0 and 1, exact.

    In 8 bits where this torch can: four times as fast as in 32 bits on a CPU that has instructions for it.
    """
    if hasattr(torch, "_int_mm") and not one.is_cuda:
        return torch._int_mm(one.to(torch.int8), other.to(torch.int8))
    return (one.float() @ other.float()).int()
