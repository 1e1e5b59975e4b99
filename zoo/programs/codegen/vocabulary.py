"""Properties that a program gives to words: what their values are called, which words have none, how they are written.

The value of a property that the unknown token has is what all words not listed have.
"""

from __future__ import annotations

from dataclasses import replace
from textwrap import wrap

import torch
from torch import Tensor

from zoo.programs.codegen.conditions import WIDE
from zoo.programs.ir.nodes import Input
from zoo.programs.ir.program import Program
from zoo.programs.label_positions import Questions
from zoo.programs.reduce.simplify import simplify
from zoo.sequence_spec import NOTHING

SHOWN = 2  # words that name a value
BY_WORD = '''def by_word(values):
    """The value of each word, from the words of each value."""
    return {word: value for value, words in values.items() for word in words.split()}
'''


def is_token(node: Input) -> bool:
    """Whether a variable is the token itself."""
    return bool(node.values) and node.table == tuple(range(node.size))


def properties(program: Program) -> list[Input]:
    """The variables that are properties of words."""
    return [n for n in program.nodes if isinstance(n, Input) and n.table and not is_token(n)]


def with_names(program: Program, codes: Tensor) -> Program:
    """The same program, each value of a property of words named by the words that have it most often.

    Args:
        program: values that have names keep them.
        codes: ``(b, length)`` sequences in which words are counted.
    """
    frame, nodes = program.frame, {node.name: node for node in program.nodes}
    count = torch.bincount(codes[codes != NOTHING], minlength=len(frame.tokens)).tolist()
    order = sorted(range(len(frame.tokens)), key=lambda t: (frame.tokens[t] in _special(program), -count[t]))
    for node in properties(program):
        if node.values:
            continue
        words: list[list[str]] = [[] for _ in range(node.size)]
        for token in order:
            words[node.table[token]].append(frame.tokens[token])
        names = ["|".join(some[:SHOWN]) or f"no word {v}" for v, some in enumerate(words)]
        distinct = [n if names.count(n) == 1 else f"{n} ({v})" for v, n in enumerate(names)]
        nodes[node.name] = replace(node, values=tuple(distinct))
    return replace(program, nodes=tuple(nodes.values()))


def _special(program: Program) -> set[str | None]:
    return {*program.frame.before, *program.frame.after, program.frame.unknown}


def forget_words(
    program: Program, train: Questions, choose: Questions, *, cost: float = 0.0, tries: int = 100, least: int = 8
) -> Program:
    """Words are given the properties of the unknown token, rarest first, as long as that costs no more than ``cost``.

    Many are tried at once, and half of them if that is too much; the accuracy on both sets must stand it.

    Args:
        program: whose words; returned as it is if it refuses unknown ones.
        train: questions whose words they are.
        choose: further questions.
        cost: largest share of answers that may be lost, of each set.
        tries: runs of the program at most, for each property.
        least: words that are tried at once at least.
    """
    if program.frame.unknown is None:
        return program
    floor = [q.accuracy(program) - cost for q in (train, choose)]
    count = torch.bincount(train.codes[train.codes != NOTHING], minlength=len(program.frame.tokens)).tolist()
    unknown = program.frame.codes[program.frame.unknown]
    for name in [node.name for node in properties(program)]:
        table = list(next(n.table for n in properties(program) if n.name == name))
        other, special = table[unknown], _special(program)
        own = [t for t, v in enumerate(table) if v != other and program.frame.tokens[t] not in special]
        own.sort(key=count.__getitem__)
        size = max(least, len(own) // 16)
        groups = [own[i : i + size] for i in range(0, len(own), size)][::-1]
        for _ in range(tries):
            if not groups:
                break
            group = groups.pop()
            trial = _with_table(program, name, [other if t in set(group) else v for t, v in enumerate(table)])
            if all(q.accuracy(trial) >= low for q, low in zip((train, choose), floor, strict=True)):
                program, table = trial, list(next(n.table for n in properties(trial) if n.name == name))
            elif len(group) >= 2 * least:
                groups += [group[len(group) // 2 :], group[: len(group) // 2]]
    return simplify(program)


def _with_table(program: Program, name: str, table: list[int]) -> Program:
    nodes = tuple(replace(n, table=tuple(table)) if n.name == name else n for n in program.nodes)  # type: ignore
    return replace(program, nodes=nodes)


def words_of_their_own(program: Program) -> int:
    """Words that differ from an unknown one in some property."""
    rows = list(zip(*(node.table for node in properties(program)), strict=True))
    if program.frame.unknown is None or not rows:
        return len(rows)
    unknown = rows[program.frame.codes[program.frame.unknown]]
    return sum(row != unknown for row in rows)


def by_value(program: Program) -> bool:
    """Whether words are listed by their values: unknown words are allowed, and no variable is a token itself."""
    inputs = [n for n in program.nodes if isinstance(n, Input) and n.table]
    plain = all(len(t.split()) == 1 and t == t.strip() for t in program.frame.tokens)
    return bool(inputs) and program.frame.unknown is not None and plain and not any(map(is_token, inputs))


def word_lists(program: Program) -> list[str]:
    """For each property a table from words to values, written value by value, and the function that reads it."""
    out = [BY_WORD]
    for node in properties(program):
        other = _other(program, node)
        lines = [f"{node.name.upper()} = by_word({{  # {_literal(node, other)} for all other words"]
        for value in sorted(set(node.table) - {other}):
            words = [t for t, v in zip(program.frame.tokens, node.table, strict=True) if v == value]
            rows = wrap(" ".join(words), WIDE - 12, break_long_words=False, break_on_hyphens=False)
            if len(rows) == 1 and len(f"    {_literal(node, value)}: {rows[0]!r},") <= WIDE:
                lines.append(f"    {_literal(node, value)}: {rows[0]!r},")
            else:
                lines.append(f"    {_literal(node, value)}:")
                lines += [f"        {row + ' '!r}" for row in rows[:-1]] + [f"        {rows[-1]!r},"]
        out.append("\n".join([*lines, "})"]) + "\n")
    return out


def word_call(program: Program, node: Input) -> str:
    """The expression that fills such a variable."""
    return f"[{node.name.upper()}.get(t, {_literal(node, _other(program, node))}) for t in token]"


def _other(program: Program, node: Input) -> int:
    assert program.frame.unknown is not None
    return node.table[program.frame.codes[program.frame.unknown]]


def _literal(node: Input, value: int) -> str:
    return repr(node.values[value]) if node.values else str(value)
