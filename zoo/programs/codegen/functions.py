"""Nodes of a program as Python functions: what a head looks for, what a table says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from zoo.programs.codegen.conditions import WIDE, blocks, condition, groups, literal, rule
from zoo.programs.codegen.vocabulary import by_value, is_token, word_call
from zoo.programs.ir.nodes import Input, Node, Select, Table
from zoo.programs.ir.program import Domain, Program
from zoo.programs.ir.reachability import Reach, combinations
from zoo.sequence_spec import NOTHING

MANY = 150  # blocks of a table beyond which it is written row by row


def write(program: Program, node: Node, known: Reach, counts: list[int] | None) -> tuple[list[str], str]:
    """Functions that a node needs, and the expression that fills its variable."""
    if isinstance(node, Input):
        if not node.table:
            return [], "list(range(len(token)))"
        if is_token(node):
            return [], "TOKEN"
        if by_value(program):
            return [], word_call(program, node)
        at = [n.name for n in program.nodes if isinstance(n, Input) and n.table and not is_token(n)].index(node.name)
        return [], f"[TOKENS[t][{at}] for t in token]"
    if isinstance(node, Table):
        return _write_table(program, node, known, counts)
    values = [node.key] + ([node.value] if node.value is not None else [])
    verb = "copy_from" if isinstance(node, Select) else "count_where" if node.value is None else "sum_where"
    rest = ", ".join(values)
    key = program.domains[node.key]
    if node.query is None:
        want = "None" if node.wanted[0] == NOTHING else literal(key, node.wanted[0])
        return [], f"{verb}([{want}] * len({node.key}), {rest})"
    query = program.domains[node.query]
    asks = {q: node.wanted[q] for q in sorted(known[node.query])}
    formula, meant = rule(query, key, asks)
    if meant == asks:
        wanted = node.query if formula == "x" else f"[{formula} for x in {node.query}]"
        return [], f"{verb}({wanted}, {rest})"
    agree = [q for q, w in asks.items() if meant[q] == w]
    label = {q: "None" if w == NOTHING else literal(key, w) for q, w in asks.items()}
    if len(agree) > 2:
        label |= dict.fromkeys(agree, formula.replace("x", node.query))
    what = {
        "copy_from": f"copies {node.value} from",
        "count_where": "counts",
        "sum_where": f"adds up {node.value} over",
    }
    lines = [
        f"def {node.name}_wants({node.query}):",
        f'    """{node.name} {what[verb]} positions whose {node.key} is:"""',
    ]
    every = list(asks)
    lines += _branches(
        [(condition(node.query, qs, every, query), want, _sum(counts, qs)) for want, qs in groups(label)]
    )
    return ["\n".join(lines) + "\n"], f"{verb}([{node.name}_wants(x) for x in {node.query}], {rest})"


def _write_table(program: Program, node: Table, known: Reach, counts: list[int] | None) -> tuple[list[str], str]:
    if not node.reads:
        return [], f"[{node.entries[0]}] * len(token)"
    domains, reads = [program.domains[name] for name in node.reads], node.reads
    width = domains[-1].size if len(reads) == 2 else 1
    args = reads if len(set(reads)) == len(reads) else (reads[0], f"{reads[0]}_again")
    call = f"[{node.name}_of(x) for x in {reads[0]}]"
    if len(reads) == 2:
        call = f"[{node.name}_of(*x) for x in zip({reads[0]}, {reads[1]})]"
    head = [f"def {node.name}_of({', '.join(args)}):"]
    cells = combinations(node, known)
    place = {cell: cell[0] * width + cell[1] if len(cell) == 2 else cell[0] for cell in cells}
    outputs = {cell: node.entries[i] for cell, i in place.items()}
    if len(reads) == 1:
        label = {cell[0]: str(o) for cell, o in outputs.items()}
        rows = [(condition(args[0], vs, list(label), domains[0]), out, _sum(counts, vs)) for out, vs in groups(label)]
        return ["\n".join([*head, *_branches(rows)]) + "\n"], call
    every = min((blocks(outputs, flip) for flip in (False, True)), key=len)
    default = _default(outputs, place, counts)
    used = [b for b in every if b[0] != default]
    if len(used) > MANY:
        first = sorted({cell[0] for cell in cells})
        by = {a: {c[1]: o for c, o in outputs.items() if c[0] == a} for a in first}
        rows = [f"    {literal(domains[0], a)}: {_row(domains[1], row)}," for a, row in by.items()]
        return [
            "\n".join([f"{node.name.upper()} = {{  # {reads[0]}, then {reads[1]}", *rows, "}"]) + "\n",
            "\n".join([*head, f"    return {node.name.upper()}[{args[0]}][{args[1]}]"]) + "\n",
        ], call
    alls = [sorted({cell[i] for cell in cells}) for i in (0, 1)]
    rows = []
    for output in sorted({b[0] for b in used}):
        tests = []
        for _, one, two in (b for b in used if b[0] == output):
            both = [condition(args[i], vs, alls[i], domains[i]) for i, vs in ((0, one), (1, two))]
            tests.append(" and ".join(t for t in both if t))
        many = None if counts is None else sum(counts[place[c]] for c, o in outputs.items() if o == output)
        rows.append((tests, str(output), many))
    rest = None if counts is None else sum(counts[place[c]] for c, o in outputs.items() if o == default)
    lines = []
    for tests, output, many in rows:
        line = f"    if {' or '.join(tests)}:" if len(tests) == 1 else ""
        whole = f"    if {' or '.join(f'({t})' if ' and ' in t else t for t in tests)}:"
        if len(line or whole) <= WIDE:
            lines.append(line or whole)
        else:
            lines += ["    if (", *(f"        {'' if i == 0 else 'or '}({t})" for i, t in enumerate(tests)), "    ):"]
        lines.append(f"        return {output}{_times(many)}")
    lines.append(f"    return {default}{_times(rest)}")
    return ["\n".join([*head, *lines]) + "\n"], call


def _row(domain: Domain, row: dict[int, int]) -> str:
    """A row of a large table: a dictionary of its values."""
    return "{" + ", ".join(f"{literal(domain, v)}: {o}" for v, o in row.items()) + "}"


def _default(outputs: dict, place: dict, counts: list[int] | None) -> int:
    weight: Counter[int] = Counter()
    for cell, output in outputs.items():
        weight[output] += 1 if counts is None else counts[place[cell]]
    return max(weight, key=lambda o: (weight[o], -o))


def _branches(rows: list[tuple[str, str, int | None]]) -> list[str]:
    lines = []
    for when, output, many in rows[:-1]:
        lines += [f"    if {when}:", f"        return {output}{_times(many)}"]
    _, output, many = rows[-1]
    return [*lines, f"    return {output}{_times(many)}"]


def _sum(counts: list[int] | None, values: Sequence[int]) -> int | None:
    return None if counts is None else sum(counts[v] for v in values)


def _times(many: int | None) -> str:
    return "" if many is None else f"  # {many}"
