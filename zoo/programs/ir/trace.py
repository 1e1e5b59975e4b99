"""Values of a program on given inputs, variable by variable, and what each value adds to each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.programs.ir.interpreter import attended, matches, run, strengths
from zoo.programs.ir.nodes import Input, Select, Table
from zoo.programs.ir.program import Program
from zoo.sequence_spec import NOTHING


@dataclass(frozen=True)
class Trace:
    """Everything that a program computes on one input.

    Attributes:
        tokens: n tokens, including those added around the words.
        variables: for each variable the names of its n values.
        sources: for each variable and position the positions that its value was computed from.
        units: u names.
        strength: ``(q, u)`` for each of q answers: one for each word, or one for a pooled program.
        contribution: ``(q, c, u)`` what each unit adds to each class; with ``bias`` they sum to the logits.
        logits: ``(q, c)``
        bias: ``(c,)``
        answers: q classes.
    """

    tokens: list[str]
    variables: dict[str, list[str]]
    sources: dict[str, list[list[int]]]
    units: list[str]
    strength: Tensor
    contribution: Tensor
    logits: Tensor
    bias: Tensor
    answers: list[str]


def trace(program: Program, words: Sequence[str]) -> Trace:
    """Run a program on one input and return all intermediate values.

    Raises:
        ValueError: if the input is empty, too long, or has an unknown word.

    Example:
        >>> from zoo.sequence_spec import Frame
        >>> token = Input("token", 2, (0, 1), ("a", "b"))
        >>> frame = Frame(("a", "b"), length=4)
        >>> program = Program(frame, (token,), ("token",), ("A", "B"), torch.eye(2), torch.zeros(2))
        >>> trace(program, ["b", "a"]).variables
        {'token': ['b', 'a']}
    """
    code = program.frame.encode(words)
    codes = program.frame.pad([code])
    variables = run(program, codes)
    real = codes != NOTHING
    n = len(code)
    origins = sources(program, variables, real)
    start = len(program.frame.before)
    positions = torch.tensor([(0, start + i) for i in range(len(words))])
    strength = strengths(program, variables, real, None if program.pooled else positions)
    logits = strength @ program.weight.T + program.bias
    return Trace(
        tokens=[program.frame.tokens[c] for c in code],
        variables={k: [program.domains[k].show(x) for x in v[0, :n].tolist()] for k, v in variables.items()},
        sources={k: [row.nonzero()[:, 0].tolist() for row in v[0, :n, :n]] for k, v in origins.items()},
        units=program.unit_names,
        strength=strength,
        contribution=strength[:, None] * program.weight,
        logits=logits,
        bias=program.bias,
        answers=[program.classes[c] for c in logits.argmax(1).tolist()],
    )


def sources(program: Program, variables: Mapping[str, Tensor], real: Tensor) -> dict[str, Tensor]:
    """Return for each variable ``(b, i, j)`` bool: whether its value at position i was read at position j."""
    n = real.shape[1]
    own = torch.eye(n, dtype=torch.bool, device=real.device).expand(real.shape[0], n, n)
    origins = {}
    for node in program.nodes:
        if isinstance(node, (Input, Table)):
            origins[node.name] = own
        elif isinstance(node, Select):
            position = attended(program, node, variables, real)[:, :, None]
            origins[node.name] = position == torch.arange(n, device=real.device)
        else:
            origins[node.name] = matches(program, node, variables, real)
    return origins


def class_sums(program: Program, codes: Tensor, positions: Tensor) -> list[list[tuple[str, list[float]]]]:
    """Return for each of ``positions`` ``(b, 2)`` how the logits of all classes are composed.

    Returns:
        For each answer rows of a name and c numbers: each unit that adds something, ``always`` (the bias), ``sum``.
    """
    variables = run(program, codes)
    strength = strengths(program, variables, codes != NOTHING, None if program.pooled else positions)
    strength = strength[positions[:, 0]] if program.pooled else strength
    tables = []
    for row in strength:
        parts = program.weight * row
        units = [(name, part.tolist()) for name, part in zip(program.unit_names, parts.T, strict=True) if part.any()]
        total = (parts.sum(1) + program.bias).tolist()
        tables.append([*units, ("always", program.bias.tolist()), ("sum", total)])
    return tables


def places(program: Program, codes: Tensor, positions: Tensor, strength: Tensor, shown: Tensor) -> Tensor:
    """Return the positions that units were computed from; in a pooled program, the positions that have them.

    Args:
        program: whose units are located.
        codes: ``(s, length)`` sequences.
        positions: ``(b, 2)`` sequence and position of each answer.
        strength: ``(b, u)``
        shown: ``(b, k)`` ids of units, padded with -1.

    Returns:
        ``(b, k, length)``, 0 everywhere for a unit that is absent.
    """
    variables = run(program, codes)
    real = codes != NOTHING
    ids = shown.clamp_min(0)
    if not program.reads:
        return strength.new_zeros(*shown.shape, codes.shape[1])
    place = {name: i for i, name in enumerate(program.reads)}
    variable = torch.tensor([place[name] for name, _ in program.units], device=codes.device)[ids]
    sequence = positions[:, :1]
    inside = real[positions[:, 0]][:, None]
    if program.pooled:
        value = torch.tensor([NOTHING if v is None else v for _, v in program.units], device=codes.device)
        value = value[ids][..., None]
        values = torch.stack([variables[name] for name in program.reads], 1)[sequence, variable]
        present = torch.where(value == NOTHING, values, (values == value).long()) * inside
        return present * (shown >= 0)[..., None].to(strength)
    origins = sources(program, variables, real)
    origin = torch.stack([origins[name] for name in program.reads], 1)[sequence, variable, positions[:, 1:]]
    return (origin & inside) * (strength.gather(1, ids) * (shown >= 0))[..., None]


def along(program: Program, codes: Tensor, positions: Tensor) -> list[list[tuple[str, list[str]]]]:
    """Return for each of ``positions`` ``(b, 2)`` the values of all variables along the sequence.

    Returns:
        For each answer rows of a variable and its values in words; the first row, without a name, marks the position
        of the answer with ``asked``, in a program that is not pooled.
    """
    variables = run(program, codes)
    size = (codes != NOTHING).sum(1).tolist()
    rows = [
        [(k, [program.domains[k].show(v) for v in variables[k][i, : size[i]].tolist()]) for k in variables]
        for i in range(len(codes))
    ]
    tables = []
    for i, position in positions.tolist():
        mark = ["asked" if p == position and not program.pooled else "" for p in range(size[i])]
        tables.append([("", mark), *rows[i]])
    return tables
