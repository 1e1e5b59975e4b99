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

    In 8 bits where the CPU has instructions for it: four times as fast as in 32 bits there, 40 times slower on a CPU
    without them. Sums of fewer than 2^24 ones are exact in both.
    """
    if in_8_bits() and not one.is_cuda:
        return torch._int_mm(one.to(torch.int8), other.to(torch.int8))
    return (one.float() @ other.float()).int()


def in_8_bits() -> bool:
    """Whether this torch and this CPU multiply 8-bit matrices by instructions of their own (AVX-512 VNNI)."""
    return hasattr(torch, "_int_mm") and bool(torch.cpu.get_capabilities().get("avx512_vnni"))
