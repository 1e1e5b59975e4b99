"""Runs programs on many sequences at once, in whole numbers."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.programs.ir.nodes import Count, Input, Node, Select, Table
from zoo.programs.ir.program import Program
from zoo.sequence_spec import NOTHING

SMALL = 1024  # entries of a table that is kept as a tensor


@lru_cache(maxsize=32)
def order(length: int, causal: bool) -> Tensor:
    """``(n, n)`` in which order query i takes keys j: the nearest, the earlier of two equally near, itself last.

    The one place where this rule is computed; the network's preference is made of it, and exported files word it anew.

    Entries are distinct within a row, and ``>= 2 * n * n`` for keys that a query does not see. The entry is ``place *
    n + j``, so that the least of them names its position.
    """
    i, j = torch.arange(length)[:, None], torch.arange(length)[None]
    place = torch.where(i == j, 2 * length - 1, 2 * (i - j).abs() - 1 + (j > i).long())
    place = torch.where((j > i) & causal, 2 * length, place)
    return (place * length + j).int()


def run(program: Program, codes: Tensor, *, check: bool = True) -> dict[str, Tensor]:
    """Every variable at every position.

    Args:
        program: what to run.
        codes: ``(b, length)`` tokens, padded with -1.
        check: refuse codes that are no sequences.

    Returns:
        ``{name: (b, length) int64}``, without meaning where the sequence is padded.

    Raises:
        ValueError: if codes are no sequences.
    """
    if check:
        program.frame.check(codes)
    found: dict[str, Tensor] = {}
    for node in program.nodes:
        found[node.name] = fill(program, node, found, codes)
    return found


def fill(program: Program, node: Node, found: dict[str, Tensor], codes: Tensor) -> Tensor:
    """The variable ``(b, length)`` of one node, from those that it reads."""
    real = codes != NOTHING
    if isinstance(node, Input):
        if node.table:
            return _look_up(node.table, codes.clamp_min(0))
        return torch.arange(codes.shape[1], device=codes.device).expand(codes.shape)
    if isinstance(node, Table):
        index = torch.zeros_like(codes)
        for name in node.reads:
            index = index * program.domains[name].size + found[name]
        return _look_up(node.entries, index)
    if isinstance(node, Select):
        return found[node.value].gather(1, attended(program, node, found, real))
    seen = matches(program, node, found, real)
    return (seen if node.value is None else seen * found[node.value][:, None]).sum(2)


def matches(program: Program, node: Select | Count, found: dict[str, Tensor], real: Tensor) -> Tensor:
    """``(b, i, j)`` bool: whether position j is seen from i and has the key that i wants."""
    n = real.shape[1]
    if node.query is None:
        wanted = torch.full_like(found[node.key], node.wanted[0])
    else:
        wanted = _look_up(node.wanted, found[node.query])
    seen = (wanted[:, :, None] == found[node.key][:, None]) & real[:, None]
    return seen & torch.ones(n, n, dtype=torch.bool, device=real.device).tril() if program.causal else seen


def attended(program: Program, node: Select, found: dict[str, Tensor], real: Tensor) -> Tensor:
    """``(b, i)`` the position that i copies from."""
    n = real.shape[1]
    rank = order(n, program.causal).to(real.device)
    best = torch.where(matches(program, node, found, real), rank, 4 * n * n).amin(2)
    return torch.where(best < 4 * n * n, best % n, 0).long()


def _look_up(table: tuple[int, ...], index: Tensor) -> Tensor:
    return (_tensor(table) if len(table) <= SMALL else torch.tensor(table)).to(index.device)[index]


@lru_cache(maxsize=4096)
def _tensor(table: tuple[int, ...]) -> Tensor:
    return torch.tensor(table)


def strengths(program: Program, found: dict[str, Tensor], real: Tensor, asked: Tensor | None = None) -> Tensor:
    """How present each unit is: at the position asked, or its mean over the sequence for a pooled program.

    Args:
        program: whose read-out.
        found: of ``run``, b sequences.
        real: ``(b, n)`` bool, false where padded.
        asked: ``(q, 2)`` sequence and position of each question; None for a pooled program.

    Returns:
        ``(q, u)``, or ``(b, u)`` for a pooled program, of the type of the weights.
    """
    kept = [strength(program, name, found[name], real, asked) for name in program.reads]
    if kept:
        return torch.cat(kept, -1)
    return program.weight.new_zeros(len(real) if asked is None or program.pooled else len(asked), 0)


def strength(program: Program, name: str, value: Tensor, real: Tensor, asked: Tensor | None) -> Tensor:
    """How present the units of one variable are, as ``strengths``."""
    domain = program.domains[name]
    if not program.pooled:
        assert asked is not None
        value = value[asked[:, 0], asked[:, 1]]
    one = value[..., None] if domain.number else F.one_hot(value.clamp(0, domain.size - 1), domain.size)
    one = one.to(program.weight)
    return (one * real[..., None]).sum(1) / real.sum(1, keepdim=True) if program.pooled else one


def logits(program: Program, codes: Tensor, asked: Tensor | None = None) -> Tensor:
    """Logits ``(q, c)`` of the questions ``asked`` ``(q, 2)``, or ``(b, c)`` of a pooled program."""
    found = run(program, codes)
    return strengths(program, found, codes != NOTHING, asked) @ program.weight.T + program.bias


def answer(program: Program, sequences: list[list[str]]) -> list[list[str]] | list[str]:
    """Answers in words: one for each word, or one for each sequence of a pooled program.

    Raises:
        ValueError: if a sequence is empty, too long, or has an unknown word.
    """
    codes = program.frame.pad(map(program.frame.encode, sequences))
    if program.pooled:
        return [program.classes[c] for c in logits(program, codes).argmax(1).tolist()]
    start = len(program.frame.before)
    asked = torch.tensor([(i, start + p) for i, words in enumerate(sequences) for p in range(len(words))])
    said = [program.classes[c] for c in logits(program, codes, asked.reshape(-1, 2)).argmax(1).tolist()]
    ends = torch.tensor([len(words) for words in sequences]).cumsum(0).tolist()
    return [said[end - len(words) : end] for words, end in zip(sequences, ends, strict=True)]
