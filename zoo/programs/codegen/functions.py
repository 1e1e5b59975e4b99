"""Nodes of a program as Python source: the expression that computes a variable, and functions that it needs."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.programs.codegen.conditions import condition, groups
from zoo.programs.codegen.formulas import best_formula
from zoo.programs.codegen.layout import literal
from zoo.programs.codegen.table_functions import branches, count_of, table_function
from zoo.programs.codegen.vocabulary import by_value, is_token, properties
from zoo.programs.codegen.word_lists import word_lookup
from zoo.programs.ir.domains import Domain
from zoo.programs.ir.nodes import Count, Input, Node, Select, Table
from zoo.programs.ir.program import Program
from zoo.programs.ir.reachability import Reach
from zoo.sequence_spec import NOTHING


def node_source(
    program: Program, node: Node, known: Reach, counts: Sequence[int] | None, token: str
) -> tuple[list[str], str]:
    """Return the functions that a node needs, and the expression that computes its variable.

    Args:
        program: that the node is part of.
        node: any node.
        known: reachable values of each variable.
        counts: how often each row of the node was used; None to leave that out.
        token: name of the list of tokens in the exported file.
    """
    if isinstance(node, Input):
        return [], _input(program, node, token)
    if isinstance(node, Table):
        return table_function(program, node, known, counts, token)
    return _attention(program, node, known, counts)


def _input(program: Program, node: Input, token: str) -> str:
    if not node.table:
        return f"list(range(len({token})))"
    if is_token(node, program.frame):
        return token
    if by_value(program):
        return word_lookup(program, node, token)
    place = [other.name for other in properties(program)].index(node.name)
    return f"[TOKENS[t][{place}] for t in {token}]"


def _attention(
    program: Program, node: Select | Count, known: Reach, counts: Sequence[int] | None
) -> tuple[list[str], str]:
    """Return the call of ``copy_from``, ``count_where`` or ``sum_where``, and the function of its wanted keys."""
    if isinstance(node, Select):
        function, action = "copy_from", f"{node.name} copies {node.value} from positions"
    elif node.value is None:
        function, action = "count_where", f"{node.name} counts positions"
    else:
        function, action = "sum_where", f"{node.name} sums {node.value} over positions"
    arguments = ", ".join([node.key] + ([node.value] if node.value is not None else []))
    key = program.domains[node.key]
    if node.query is None:
        return [], f"{function}([{_wanted(key, node.wanted[0])}] * len({node.key}), {arguments})"
    query = program.domains[node.query]
    wanted = {q: node.wanted[q] for q in sorted(known[node.query])}
    formula, formula_keys = best_formula(query, key, wanted)
    if formula_keys == wanted:
        source = formula.source("x")
        wanted_list = node.query if source == "x" else f"[{source} for x in {node.query}]"
        return [], f"{function}({wanted_list}, {arguments})"
    result = {q: _wanted(key, w) for q, w in wanted.items()}
    agreeing = [q for q, w in wanted.items() if formula_keys[q] == w]
    if len(agreeing) > 2:
        result |= dict.fromkeys(agreeing, formula.source(node.query))
    every = list(wanted)
    rows = [(condition(node.query, qs, every, query), want, count_of(counts, qs)) for want, qs in groups(result)]
    lines = [
        f"def {node.name}_wants({node.query}):",
        f'    """{action} where {node.key} equals:"""',
        *branches(rows),
    ]
    return ["\n".join(lines) + "\n"], f"{function}([{node.name}_wants(x) for x in {node.query}], {arguments})"


def _wanted(key: Domain, value: int) -> str:
    return "None" if value == NOTHING else literal(key, value)
