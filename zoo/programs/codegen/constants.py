"""Constants of an exported file: its vocabulary and classes, and what each value adds to each class."""

from __future__ import annotations

from zoo.programs.codegen.layout import LINE_WIDTH, constant_tuple, full_lines, literal, number_tuple, text
from zoo.programs.codegen.vocabulary import by_value, properties
from zoo.programs.codegen.word_lists import word_lists
from zoo.programs.ir.program import Program
from zoo.programs.ir.reachability import reachable


def constants(program: Program) -> list[str]:
    """Return assignments of the constants, one text each."""
    base = f"BASE = {number_tuple(program.bias.tolist())}\n"
    classes = constant_tuple("CLASSES", [text(name) for name in program.classes])
    return [*_vocabulary(program), classes, base, *_scores(program)]


def _vocabulary(program: Program) -> list[str]:
    """Return the words and their properties."""
    frame = program.frame
    words = properties(program)
    if by_value(program):
        return word_lists(program)
    if words:
        rows = []
        for code, token in enumerate(frame.tokens):
            values = [literal(program.domains[node.name], node.table[code]) for node in words]
            rows.append(f"{text(token)}: ({', '.join(values)}{',' if len(values) == 1 else ''})")
        names = ", ".join(node.name for node in words)
        return [f"TOKENS = {{  # {names} of each token\n{full_lines(rows)}}}\n"]
    added = {*frame.before, *frame.after} if frame.unknown is None else set()
    parts = [constant_tuple("TOKENS", [text(token) for token in frame.tokens if token not in added])]
    if frame.columns:
        parts.append(constant_tuple("COLUMNS", [text(column) for column in frame.columns]))
    return parts


def _scores(program: Program) -> list[str]:
    """Return the read-out: ``SCORES`` of categories, ``PER_UNIT`` of numbers."""
    values = reachable(program)
    categories: list[str] = []
    numbers: list[str] = []
    for name in program.reads:
        domain = program.domains[name]
        columns = program.weight[:, program.columns(name)].T.tolist()
        if domain.number:
            numbers.append(f"    {text(name)}: {number_tuple(columns[0])},")
        else:
            used = [v for v in sorted(values[name]) if any(columns[v])]
            rows = [f"        {literal(domain, v)}: {number_tuple(columns[v])}," for v in used]
            categories += [f"    {text(name)}: {{", *rows, "    },"]
    parts: list[str] = []
    if categories:
        parts.append("\n".join(["SCORES = {  # what each value adds to each class", *categories, "}"]) + "\n")
    if len(numbers) == 1 and len(numbers[0]) < LINE_WIDTH - 12:
        note = "  # added to each class per unit of the number" if len(numbers[0]) < LINE_WIDTH - 48 else ""
        parts.append(f"PER_UNIT = {{{numbers[0].strip(' ,')}}}{note}\n")
    elif numbers:
        parts.append("\n".join(["PER_UNIT = {  # added to each class per unit of the number", *numbers, "}"]) + "\n")
    return parts
