"""What a program computed on one input, variable by variable, and what each value adds to each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.programs.ir.interpreter import attended, matches, run, strengths
from zoo.programs.ir.nodes import Count, Input, Select, Table
from zoo.programs.ir.program import Program
from zoo.sequence_spec import NOTHING


@dataclass(frozen=True)
class Trace:
    """One input.

    Attributes:
        tokens: n of them, those around the user's words included.
        variables: for each variable its n values in words.
        sources: for each variable, for each position, the positions its value came from.
        units: u names.
        strength: ``(q, u)`` for each of q answers: for the positions of the words, or the one of a pooled program.
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
    """Run a program on words and keep everything.

    Raises:
        ValueError: if the input is empty, too long, or has an unknown word.
    """
    code = program.frame.encode(words)
    codes = program.frame.pad([code])
    found, real, n = run(program, codes), codes != NOTHING, len(code)
    places = sources(program, found, real)
    start = len(program.frame.before)
    asked = torch.tensor([(0, start + i) for i in range(len(words))])
    strength = strengths(program, found, real, None if program.pooled else asked)
    contribution = strength[:, None] * program.weight
    logits = strength @ program.weight.T + program.bias
    return Trace(
        tokens=[program.frame.tokens[c] for c in code],
        variables={k: [program.domains[k].show(x) for x in v[0, :n].tolist()] for k, v in found.items()},
        sources={k: [row.nonzero()[:, 0].tolist() for row in v[0, :n, :n]] for k, v in places.items()},
        units=program.unit_names,
        strength=strength,
        contribution=contribution,
        logits=logits,
        bias=program.bias,
        answers=[program.classes[c] for c in logits.argmax(1).tolist()],
    )


def sources(program: Program, found: dict[str, Tensor], real: Tensor) -> dict[str, Tensor]:
    """For each variable ``(b, i, j)`` bool: whether its value at i was taken from position j."""
    n, out = real.shape[1], {}
    own = torch.eye(n, dtype=torch.bool, device=real.device).expand(len(real), n, n)
    for node in program.nodes:
        if isinstance(node, (Input, Table)):
            out[node.name] = own
        elif isinstance(node, Select):
            out[node.name] = attended(program, node, found, real)[:, :, None] == torch.arange(n, device=real.device)
        elif isinstance(node, Count):
            out[node.name] = matches(program, node, found, real)
    return out


def class_sums(program: Program, codes: Tensor, asked: Tensor) -> list[list[tuple[str, list[float]]]]:
    """For each question ``(b, 2)`` what each unit that is there adds to each class, ``always``, and the ``sum``."""
    found, real = run(program, codes), codes != NOTHING
    strength = strengths(program, found, real, None if program.pooled else asked)
    strength = strength[asked[:, 0]] if program.pooled else strength
    rows = []
    for one in strength:
        parts = program.weight * one
        told = [(n, part.tolist()) for n, part in zip(program.unit_names, parts.T, strict=True) if part.any()]
        rows.append([*told, ("always", program.bias.tolist()), ("sum", (parts.sum(1) + program.bias).tolist())])
    return rows


def places(program: Program, codes: Tensor, asked: Tensor, strength: Tensor, shown: Tensor) -> Tensor:
    """Where units come from, or, in a pooled program, where they are.

    Args:
        program: whose units.
        codes: ``(s, length)`` sequences.
        asked: ``(b, 2)`` sequence and position of each question.
        strength: ``(b, u)``
        shown: ``(b, k)`` ids of units, -1 pads.

    Returns:
        ``(b, k, length)``, 0 everywhere for a unit that is absent.
    """
    found, real, ids = run(program, codes), codes != NOTHING, shown.clamp_min(0)
    if not program.reads:
        return strength.new_zeros(*shown.shape, codes.shape[1])
    order = {name: i for i, name in enumerate(program.reads)}
    variable = torch.tensor([order[name] for name, _ in program.units], device=codes.device)[ids]
    sequence, real = asked[:, :1], real[asked[:, 0]][:, None]
    if program.pooled:
        value = torch.tensor([NOTHING if v is None else v for _, v in program.units], device=codes.device)
        value = value[ids][..., None]
        held = torch.stack([found[name] for name in program.reads], 1)[sequence, variable]
        there = torch.where(value == NOTHING, held, (held == value).long()) * real
        return there * (shown >= 0)[..., None].to(strength)
    origin = sources(program, found, codes != NOTHING)
    at = torch.stack([origin[name] for name in program.reads], 1)[sequence, variable, asked[:, 1:]]
    return (at & real) * (strength.gather(1, ids) * (shown >= 0))[..., None]


def along(program: Program, codes: Tensor, asked: Tensor) -> list[list[tuple[str, list[str]]]]:
    """For each question ``(b, 2)`` every variable in words, position by position, under a mark where it asks."""
    found, size = run(program, codes), (codes != NOTHING).sum(1).tolist()
    rows = [
        [(k, [program.domains[k].show(v) for v in found[k][i, : size[i]].tolist()]) for k in found]
        for i in range(len(codes))
    ]
    marks = [["asked" if p == at and not program.pooled else "" for p in range(size[i])] for i, at in asked.tolist()]
    return [[("", mark), *rows[i]] for mark, i in zip(marks, asked[:, 0].tolist(), strict=True)]
