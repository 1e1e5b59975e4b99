"""Interpreter of programs: all sequences of a batch at once, in integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.programs.ir.nodes import Count, Input, Node, Select, Table
from zoo.programs.ir.program import Program
from zoo.sequence_spec import NOTHING

MAX_CACHED_ENTRIES = 1024  # of a table that is kept as a tensor


@lru_cache(maxsize=32)
def key_order(length: int, causal: bool) -> Tensor:
    """Return ``(n, n)`` the rank of key j for query i: nearest first, then the earlier, the query's own position last.

    The relaxed network uses the same ranks for its preference of near keys.

    Returns:
        Distinct entries within a row: ``rank * n + j``, so that the smallest identifies its position. They are
        ``>= 2 * n * n`` for keys that a causal query does not see.

    Example:
        >>> key_order(4, False).argsort(1)[1].tolist()
        [0, 2, 3, 1]
    """
    i, j = torch.arange(length)[:, None], torch.arange(length)[None]
    rank = torch.where(i == j, 2 * length - 1, 2 * (i - j).abs() - 1 + (j > i).long())
    rank = torch.where((j > i) & causal, 2 * length, rank)
    return (rank * length + j).int()


def run(program: Program, codes: Tensor, *, check: bool = True) -> dict[str, Tensor]:
    """Return every variable at every position.

    Args:
        program: to run.
        codes: ``(b, length)`` tokens, padded with -1.
        check: whether to check the codes.

    Returns:
        ``{name: (b, length) int64}``; values at padded positions have no meaning.

    Raises:
        ValueError: if the codes are not sequences of the program's format.
    """
    if check:
        program.frame.check(codes)
    variables: dict[str, Tensor] = {}
    for node in program.nodes:
        variables[node.name] = compute(program, node, variables, codes)
    return variables


def compute(program: Program, node: Node, variables: Mapping[str, Tensor], codes: Tensor) -> Tensor:
    """Return the variable ``(b, length)`` of one node, computed from the variables that it reads."""
    real = codes != NOTHING
    if isinstance(node, Input):
        if node.table:
            return _look_up(node.table, codes.clamp_min(0))
        return torch.arange(codes.shape[1], device=codes.device).expand(codes.shape)
    if isinstance(node, Table):
        return _look_up(node.entries, table_rows(program, node, variables, codes))
    if isinstance(node, Select):
        return variables[node.value].gather(1, attended(program, node, variables, real))
    match = matches(program, node, variables, real)
    return (match if node.value is None else match * variables[node.value][:, None]).sum(2)


def table_rows(program: Program, node: Table, variables: Mapping[str, Tensor], codes: Tensor) -> Tensor:
    """Return ``(b, length)`` which entry of a table is used at each position."""
    index = torch.zeros_like(codes)
    for name in node.reads:
        index = index * program.domains[name].size + variables[name]
    return index


def matches(program: Program, node: Select | Count, variables: Mapping[str, Tensor], real: Tensor) -> Tensor:
    """Return ``(b, i, j)`` bool: whether position i can attend to position j, and j has the wanted key."""
    n = real.shape[1]
    if node.query is None:
        wanted = torch.full_like(variables[node.key], node.wanted[0])
    else:
        wanted = _look_up(node.wanted, variables[node.query])
    match = (wanted[:, :, None] == variables[node.key][:, None]) & real[:, None]
    return match & torch.ones(n, n, dtype=torch.bool, device=real.device).tril() if program.causal else match


def attended(program: Program, node: Select, variables: Mapping[str, Tensor], real: Tensor) -> Tensor:
    """Return ``(b, i)`` the position that a head at position i copies from."""
    n = real.shape[1]
    rank = key_order(n, program.causal).to(real.device)
    best = torch.where(matches(program, node, variables, real), rank, 4 * n * n).amin(2)
    return torch.where(best < 4 * n * n, best % n, 0).long()


def _look_up(table: tuple[int, ...], index: Tensor) -> Tensor:
    cached = len(table) <= MAX_CACHED_ENTRIES and not torch.compiler.is_exporting()
    return (_tensor(table) if cached else torch.tensor(table)).to(index.device)[index]


@lru_cache(maxsize=4096)
def _tensor(table: tuple[int, ...]) -> Tensor:
    return torch.tensor(table)


def strengths(
    program: Program, variables: Mapping[str, Tensor], real: Tensor, positions: Tensor | None = None
) -> Tensor:
    """Return the strength of each unit: at one position, or the mean over the sequence for a pooled program.

    Args:
        program: whose read-out is used.
        variables: from ``run``, of b sequences.
        real: ``(b, n)`` bool, false where padded.
        positions: ``(q, 2)`` sequence and position of each answer; None for a pooled program.

    Returns:
        ``(q, u)``, or ``(b, u)`` for a pooled program, with the dtype of the weights.
    """
    parts = [strength(program, name, variables[name], real, positions) for name in program.reads]
    if parts:
        return torch.cat(parts, -1)
    rows = (real if positions is None or program.pooled else positions).shape[0]
    return program.weight.new_zeros(rows, 0)


def strength(program: Program, name: str, value: Tensor, real: Tensor, positions: Tensor | None) -> Tensor:
    """Return the strengths of the units of one variable ``(b, n)``; see ``strengths``."""
    domain = program.domains[name]
    if not program.pooled:
        assert positions is not None
        value = value[positions[:, 0], positions[:, 1]]
    units = value[..., None] if domain.number else F.one_hot(value.clamp(0, domain.size - 1), domain.size)
    units = units.to(program.weight)
    return (units * real[..., None]).sum(1) / real.sum(1, keepdim=True) if program.pooled else units


def logits(program: Program, codes: Tensor, positions: Tensor | None = None) -> Tensor:
    """Return the logits ``(q, c)`` at ``positions`` ``(q, 2)``, or ``(b, c)`` of a pooled program."""
    variables = run(program, codes)
    return strengths(program, variables, codes != NOTHING, positions) @ program.weight.T + program.bias


def answer(program: Program, sequences: Sequence[Sequence[str]]) -> list[list[str]] | list[str]:
    """Return the names of the answers: one for each word, or one for each sequence of a pooled program.

    Raises:
        ValueError: if a sequence is empty, too long, or has an unknown word.

    Example:
        >>> from zoo.sequence_spec import Frame
        >>> token = Input("token", 2, (0, 1), ("a", "b"))
        >>> program = Program(
        ...     Frame(("a", "b"), length=4), (token,), ("token",), ("A", "B"), torch.eye(2), torch.zeros(2)
        ... )
        >>> answer(program, [["b", "a"], ["a"]])
        [['B', 'A'], ['A']]
    """
    codes = program.frame.pad(map(program.frame.encode, sequences))
    if program.pooled:
        return [program.classes[c] for c in logits(program, codes).argmax(1).tolist()]
    start = len(program.frame.before)
    positions = torch.tensor([(i, start + p) for i, words in enumerate(sequences) for p in range(len(words))])
    answers = [program.classes[c] for c in logits(program, codes, positions.reshape(-1, 2)).argmax(1).tolist()]
    ends = torch.tensor([len(words) for words in sequences]).cumsum(0).tolist()
    return [answers[end - len(words) : end] for words, end in zip(sequences, ends, strict=True)]
