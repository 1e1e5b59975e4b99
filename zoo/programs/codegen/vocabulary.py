"""Properties of words: variables that are computed from the token alone, the names of their values, their reduction.

All words that are not listed have the property values of the unknown token.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from zoo.programs.ir.nodes import Input
from zoo.programs.ir.program import Program
from zoo.programs.label_positions import LabeledPositions
from zoo.programs.reduce.simplify import simplify
from zoo.sequence_spec import NOTHING, Frame

WORDS_IN_NAME = 2  # words that name a value


def is_token(node: Input, frame: Frame) -> bool:
    """Return whether a variable is the token itself."""
    return node.values == frame.tokens and node.table == tuple(range(node.size))


def properties(program: Program) -> list[Input]:
    """Return the variables that are properties of words."""
    inputs = [node for node in program.nodes if isinstance(node, Input) and node.table]
    return [node for node in inputs if not is_token(node, program.frame)]


def by_value(program: Program) -> bool:
    """Return whether an exported file lists words by their values.

    It does if unknown words are allowed and no variable is the token itself.
    """
    inputs = [node for node in program.nodes if isinstance(node, Input) and node.table]
    plain = all(token.split() == [token] for token in program.frame.tokens)
    return bool(inputs) and program.frame.unknown is not None and plain and properties(program) == inputs


def with_names(program: Program, codes: Tensor) -> Program:
    """Return the same program with each value of a property named by its most frequent words.

    Args:
        program: values that have names keep them.
        codes: ``(b, length)`` sequences in which words are counted.
    """
    frame = program.frame
    nodes = {node.name: node for node in program.nodes}
    count = torch.bincount(codes[codes != NOTHING], minlength=len(frame.tokens)).tolist()
    special = _special_tokens(frame)
    order = sorted(range(len(frame.tokens)), key=lambda t: (frame.tokens[t] in special, -count[t]))
    for node in properties(program):
        if node.values:
            continue
        words: list[list[str]] = [[] for _ in range(node.size)]
        for token in order:
            words[node.table[token]].append(frame.tokens[token])
        names = ["|".join(group[:WORDS_IN_NAME]) or f"no word {value}" for value, group in enumerate(words)]
        while len(set(names)) < len(names):
            names = [n if names.count(n) == 1 else f"{n} ({value})" for value, n in enumerate(names)]
        nodes[node.name] = replace(node, values=tuple(names))
    return replace(program, nodes=tuple(nodes.values()))


def _special_tokens(frame: Frame) -> set[str | None]:
    return {*frame.before, *frame.after, frame.unknown}


def forget_words(
    program: Program,
    train: LabeledPositions,
    choose: LabeledPositions,
    *,
    cost: float = 0.0,
    tries: int = 100,
    least: int = 8,
) -> Program:
    """Give words the properties of the unknown token, rarest words first, as long as accuracy allows it.

    Many words are tried at once, and half of them if that costs too much. The accuracy on both sets decides.

    Args:
        program: to reduce; returned unchanged if it does not accept unknown words.
        train: labeled positions of the training sequences, in which words are counted.
        choose: further labeled positions.
        cost: largest accuracy that may be lost on each set, between 0 and 1.
        tries: largest number of evaluations of the program for each property.
        least: smallest number of words that are tried at once.
    """
    frame = program.frame
    if frame.unknown is None:
        return program
    limits = [labeled.accuracy(program) - cost for labeled in (train, choose)]
    count = torch.bincount(train.codes[train.codes != NOTHING], minlength=len(frame.tokens)).tolist()
    unknown = frame.codes[frame.unknown]
    special = _special_tokens(frame)
    for name in [node.name for node in properties(program)]:
        table = _table_of(program, name)
        default = table[unknown]
        own = [t for t, value in enumerate(table) if value != default and frame.tokens[t] not in special]
        own.sort(key=count.__getitem__)
        size = max(least, len(own) // 16)
        groups = [own[i : i + size] for i in range(0, len(own), size)][::-1]
        for _ in range(tries):
            if not groups:
                break
            group = groups.pop()
            trial = _with_table(program, name, [default if t in set(group) else v for t, v in enumerate(table)])
            if all(q.accuracy(trial) >= limit for q, limit in zip((train, choose), limits, strict=True)):
                program = trial
                table = _table_of(trial, name)
            elif len(group) >= 2 * least:
                groups += [group[len(group) // 2 :], group[: len(group) // 2]]
    return simplify(program)


def _table_of(program: Program, name: str) -> list[int]:
    return list(next(node.table for node in properties(program) if node.name == name))


def _with_table(program: Program, name: str, table: list[int]) -> Program:
    nodes = [
        replace(node, table=tuple(table)) if isinstance(node, Input) and node.name == name else node
        for node in program.nodes
    ]
    return replace(program, nodes=tuple(nodes))


def words_of_their_own(program: Program) -> int:
    """Return the number of words that differ from an unknown word in some property."""
    rows = list(zip(*(node.table for node in properties(program)), strict=True))
    if program.frame.unknown is None or not rows:
        return len(rows)
    unknown = rows[program.frame.codes[program.frame.unknown]]
    return sum(row != unknown for row in rows)
