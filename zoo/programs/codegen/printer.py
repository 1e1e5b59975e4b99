"""A program as one Python file that needs only the standard library, computes the same and can be read.

The text is built from typed values: names are checked identifiers (``zoo.programs.ir.names``), numbers are integers
or finite floats, and every other text is a string literal. Words and classes can therefore contain anything.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.programs.codegen.constants import constants
from zoo.programs.codegen.entry_points import run_function, scores_function, variables_function
from zoo.programs.codegen.functions import node_source
from zoo.programs.codegen.header import header
from zoo.programs.codegen.vocabulary import is_token
from zoo.programs.ir.nodes import Count, Input, Node, Select
from zoo.programs.ir.program import Program
from zoo.programs.ir.reachability import coverage, reachable

COPY = '''def copy_from(wanted, key, value):
    """Copy from the nearest position with the wanted key: ties to the earlier, itself last, else the first."""
    matches = [[j for j, k in enumerate({key}) if k == w] for {w} in {wanted}]
    return [value[min(js, key=lambda j: (j == i, abs(j - i), j), default=0)] for i, js in enumerate(matches)]
'''
COUNT = '''def count_where(wanted, key):
    """Count the positions{scope} with the wanted key."""
    return [sum(k == w for k in {key}) for {w} in {wanted}]
'''
SUM = '''def sum_where(wanted, key, value):
    """Sum the values of the positions{scope} with the wanted key."""
    return [sum(v for k, v in zip({key}, value) if k == w) for {w} in {wanted}]
'''
ALL = {"key": "key", "w": "w", "wanted": "wanted", "scope": ""}
CAUSAL = {"key": "key[: i + 1]", "w": "i, w", "wanted": "enumerate(wanted)", "scope": " up to the query's own"}


def print_program(
    program: Program, *, name: str, about: Sequence[str] = (), codes: Tensor | None = None, by: str = "zoo"
) -> str:
    """Return the source of a module with ``run(words)``, ``scores(words)`` and ``variables(words)``.

    Args:
        program: to export.
        name: of the file, without ``.py``.
        about: sentences for its docstring.
        codes: ``(b, length)`` sequences; how often they take each branch is written after it.
        by: who writes the file, for its docstring.

    Raises:
        ValueError: if a weight is not finite.

    Example:
        >>> from zoo.programs.ir.nodes import Input
        >>> from zoo.sequence_spec import Frame
        >>> token = Input("token", 2, (0, 1), ("a", "b"))
        >>> frame = Frame(("a", "b"), length=4)
        >>> program = Program(frame, (token,), ("token",), ("A", "B"), torch.eye(2), torch.zeros(2))
        >>> module = {}
        >>> exec(print_program(program, name="upper_case"), module)
        >>> module["run"](["b", "a"])
        ['B', 'A']
    """
    if not bool(torch.isfinite(program.weight).all() and torch.isfinite(program.bias).all()):
        raise ValueError("the read-out has weights that are not finite; expected numbers, train again")
    known = reachable(program)
    counts = {} if codes is None else {key: value.tolist() for key, value in coverage(program, codes).items()}
    token = _token_name(program)
    functions: list[str] = []
    calls: list[tuple[str, str]] = []
    for node in program.nodes:
        needed, expression = node_source(program, node, known, counts.get(node.name), token)
        functions += needed
        calls.append((node.name, expression))
    parts = [
        header(program, name, about, by, with_counts=bool(functions) and codes is not None),
        *constants(program),
        *_helpers(program),
        *functions,
        variables_function(program, calls, token),
        scores_function(program),
        run_function(program),
    ]
    return "\n\n".join(part.strip("\n") + "\n" for part in _joined_constants(parts))


def _token_name(program: Program) -> str:
    """Return the name of the list of tokens: ``token``, unless that is the variable of something else."""
    taken = {node.name for node in program.nodes if not (isinstance(node, Input) and is_token(node, program.frame))}
    name = "token"
    while name in taken:
        name += "_"
    return name


def _helpers(program: Program) -> list[str]:
    """Return the functions that attention heads call."""
    scope = CAUSAL if program.causal else ALL

    def needed(node: Node) -> str:
        if isinstance(node, Select):
            return COPY
        return "" if not isinstance(node, Count) else COUNT if node.value is None else SUM

    used = {needed(node) for node in program.nodes}
    return [template.format(**scope) for template in (COPY, COUNT, SUM) if template in used]


def _joined_constants(parts: Sequence[str]) -> list[str]:
    """Return the parts with constants on successive lines, so that only functions stand apart."""
    joined = [parts[0]]
    for part in parts[1:]:
        if part[0].isupper() and not joined[-1].startswith("def "):
            gap = "\n\n" if joined == [parts[0]] else "\n"
            joined[-1] = joined[-1].rstrip("\n") + gap + part
        else:
            joined.append(part)
    return joined
