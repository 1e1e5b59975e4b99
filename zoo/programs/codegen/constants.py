"""The constants of a printed program: its tokens and classes, and what each value adds to each class."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.programs.codegen.conditions import WIDE, literal
from zoo.programs.codegen.vocabulary import by_value, is_token, word_lists
from zoo.programs.ir.nodes import Input
from zoo.programs.ir.program import Program
from zoo.programs.ir.reachability import reachable


def constants(program: Program) -> list[str]:
    """Statements that name them, a text each."""
    frame, out = program.frame, []
    words = [node for node in program.nodes if isinstance(node, Input) and node.table and not is_token(node)]
    if by_value(program):
        out += word_lists(program)
    elif words:
        names = ", ".join(node.name for node in words)
        rows = [f"{t!r}: {tuple(n.table[i] for n in words)!r}" for i, t in enumerate(frame.tokens)]
        out.append(f"TOKENS = {{  # {names} of each token\n{fill(rows)}}}\n")
    else:
        around = {*frame.before, *frame.after} if frame.unknown is None else {}
        out.append(_wrapped("TOKENS", [repr(t) for t in frame.tokens if t not in around]))
        if frame.columns:
            out.append(_wrapped("COLUMNS", [repr(column) for column in frame.columns]))
    out.append(_wrapped("CLASSES", [repr(c) for c in program.classes]))
    out.append(f"BASE = {_tuple(program.bias.tolist())}\n")
    known = reachable(program)
    categories, numbers = [], []
    for name in program.reads:
        domain, columns = program.domains[name], program.weight[:, program.columns(name)].T.tolist()
        if domain.number:
            numbers.append(f"    {name!r}: {_tuple(columns[0])},")
        else:
            kept = [v for v in sorted(known[name]) if any(columns[v])]
            rows = [f"        {literal(domain, v)}: {_tuple(columns[v])}," for v in kept]
            categories += [f"    {name!r}: {{", *rows, "    },"]
    if categories:
        out.append("\n".join(["SCORES = {  # what each value adds to each class", *categories, "}"]) + "\n")
    if len(numbers) == 1 and len(numbers[0]) < WIDE - 12:
        note = "  # what a number adds, times itself" if len(numbers[0]) < WIDE - 48 else ""
        out.append(f"PER_UNIT = {{{numbers[0].strip(' ,')}}}{note}\n")
    elif numbers:
        out.append(
            "\n".join(["PER_UNIT = {  # what each number adds to each class, times itself", *numbers, "}"]) + "\n"
        )
    return out


def _tuple(row: Sequence[float]) -> str:
    texts = [repr(int(v)) if float(v).is_integer() and abs(v) < 1e15 else repr(float(v)) for v in row]
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"


def _wrapped(name: str, items: list[str]) -> str:
    line = f"{name} = ({', '.join(items)}{',' if len(items) == 1 else ''})\n"
    return line if len(line) <= WIDE else f"{name} = (\n{fill(items)})\n"


def fill(items: list[str]) -> str:
    """Items with a comma behind each, in lines that are full."""
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) + 2 > WIDE and line.strip():
            lines.append(line)
            line = "   "
        line += f" {item},"
    return "\n".join([*lines, line]) + "\n"
