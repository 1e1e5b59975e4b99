"""Lookup tables of a program as Python functions: branches where they are short, a dictionary where they are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from zoo.programs.codegen.conditions import blocks, condition, groups
from zoo.programs.codegen.layout import LINE_WIDTH, integer, literal
from zoo.programs.ir.nodes import Table
from zoo.programs.ir.program import Program
from zoo.programs.ir.reachability import Reach, combinations

MAX_BLOCKS = 150  # of a table that is written as branches
Cell = tuple[int, ...]


def table_function(
    program: Program, node: Table, known: Reach, counts: Sequence[int] | None, token: str
) -> tuple[list[str], str]:
    """Return the function of a table, and the expression that calls it; arguments as of ``functions.node_source``."""
    reads = node.reads
    if not reads:
        return [], f"[{integer(node.entries[0])}] * len({token})"
    arguments = reads if len(set(reads)) == len(reads) else (reads[0], f"{reads[0]}_again")
    head = f"def {node.name}_of({', '.join(arguments)}):"
    width = program.domains[reads[-1]].size if len(reads) == 2 else 1
    cells = combinations(node, known)
    place = {cell: cell[0] * width + cell[1] if len(cell) == 2 else cell[0] for cell in cells}
    outputs = {cell: node.entries[i] for cell, i in place.items()}
    used = {cell: 1 if counts is None else counts[i] for cell, i in place.items()}
    if len(reads) == 1:
        domain = program.domains[reads[0]]
        result = {cell[0]: integer(output) for cell, output in outputs.items()}
        every = list(result)
        rows = [
            (condition(arguments[0], values, every, domain), output, count_of(counts, values))
            for output, values in groups(result)
        ]
        return ["\n".join([head, *branches(rows)]) + "\n"], f"[{node.name}_of(x) for x in {reads[0]}]"
    call = f"[{node.name}_of(*x) for x in zip({reads[0]}, {reads[1]})]"
    pairs = {(cell[0], cell[1]): output for cell, output in outputs.items()}
    every_block = min((blocks(pairs, by_second=by_second) for by_second in (False, True)), key=len)
    default = _default(outputs, used)
    exceptions = [block for block in every_block if block[0] != default]
    if len(exceptions) > MAX_BLOCKS:
        constant, lookup = _dictionary(program, node, outputs, arguments)
        return [constant, f"{head}\n{lookup}"], call
    lines = [head]
    for output in sorted({block[0] for block in exceptions}):
        tests = _tests(program, node, arguments, cells, [block for block in exceptions if block[0] == output])
        lines += _if(tests)
        lines.append(f"        return {integer(output)}{_times(counts, outputs, used, output)}")
    lines.append(f"    return {integer(default)}{_times(counts, outputs, used, default)}")
    return ["\n".join(lines) + "\n"], call


def _tests(
    program: Program,
    node: Table,
    arguments: Sequence[str],
    cells: Sequence[Cell],
    chosen: Sequence[tuple[int, list[int], list[int]]],
) -> list[str]:
    """Return a condition for each block of a table of two variables."""
    every = [sorted({cell[axis] for cell in cells}) for axis in (0, 1)]
    domains = [program.domains[name] for name in node.reads]
    tests = []
    for _, first, second in chosen:
        pair = [condition(arguments[i], vs, every[i], domains[i]) for i, vs in ((0, first), (1, second))]
        tests.append(" and ".join(part for part in pair if part))
    return tests


def _if(tests: Sequence[str]) -> list[str]:
    """Return the lines of an ``if`` statement that is true if one of the tests is."""
    if len(tests) == 1:
        line = f"    if {tests[0]}:"
    else:
        line = f"    if {' or '.join(f'({test})' if ' and ' in test else test for test in tests)}:"
    if len(line) <= LINE_WIDTH:
        return [line]
    return ["    if (", *(f"        {'' if i == 0 else 'or '}({test})" for i, test in enumerate(tests)), "    ):"]


def _dictionary(
    program: Program, node: Table, outputs: Mapping[Cell, int], arguments: Sequence[str]
) -> tuple[str, str]:
    """Return a large table as a dictionary of dictionaries, and the line that looks a value up."""
    domains = [program.domains[name] for name in node.reads]
    rows = []
    for first in sorted({cell[0] for cell in outputs}):
        items = [f"{literal(domains[1], c[1])}: {integer(o)}" for c, o in outputs.items() if c[0] == first]
        rows.append(f"    {literal(domains[0], first)}: {{{', '.join(items)}}},")
    name = node.name.upper()
    constant = "\n".join([f"{name} = {{  # {node.reads[0]}, then {node.reads[1]}", *rows, "}"]) + "\n"
    return constant, f"    return {name}[{arguments[0]}][{arguments[1]}]\n"


def _default(outputs: Mapping[Cell, int], used: Mapping[Cell, int]) -> int:
    """Return the output that is used most often; the smallest among equals."""
    weight: Counter[int] = Counter()
    for cell, output in outputs.items():
        weight[output] += used[cell]
    return max(weight, key=lambda output: (weight[output], -output))


def branches(rows: Sequence[tuple[str, str, int | None]]) -> list[str]:
    """Return the body of a function: condition, result and use count of each branch, the last one unconditional."""
    lines = []
    for test, result, count in rows[:-1]:
        lines += [f"    if {test}:", f"        return {result}{_comment(count)}"]
    _, result, count = rows[-1]
    return [*lines, f"    return {result}{_comment(count)}"]


def count_of(counts: Sequence[int] | None, rows: Sequence[int]) -> int | None:
    """Return how often some rows were used together; None if that is not known."""
    return None if counts is None else sum(counts[row] for row in rows)


def _times(counts: Sequence[int] | None, outputs: Mapping[Cell, int], used: Mapping[Cell, int], output: int) -> str:
    """Return the comment on how often a table had an output."""
    return _comment(None if counts is None else sum(used[cell] for cell, o in outputs.items() if o == output))


def _comment(count: int | None) -> str:
    return "" if count is None else f"  # {integer(count)}"
