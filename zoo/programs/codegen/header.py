"""Head of an exported file: what it computes, how to run it, and its imports."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from zoo.programs.codegen.layout import LINE_WIDTH, docstring, shell_command, text
from zoo.programs.codegen.vocabulary import by_value
from zoo.programs.ir.program import Program

EXAMPLE_WORDS = 3


def header(program: Program, name: str, about: Sequence[str], by: str, *, with_counts: bool) -> str:
    """Return the docstring and the imports.

    Args:
        program: that the file computes.
        name: of the file, without ``.py``.
        about: further sentences of the docstring.
        by: who writes the file.
        with_counts: whether branches are followed by how often they were taken.
    """
    frame = program.frame
    answers = "one answer for all words" if program.pooled else "one answer for each word"
    special = {*frame.before, *frame.after, frame.unknown}
    if frame.columns:
        first_token = {token.partition("=")[0]: token for token in reversed(frame.tokens)}
        expected = "one word of TOKENS for each of COLUMNS, in this order"
        example = [first_token[column] for column in frame.columns]
    else:
        expected = f"1 to {frame.room} words{'' if by_value(program) else ' of TOKENS'}"
        example = [token for token in frame.tokens if token not in special][:EXAMPLE_WORDS]
    if frame.unknown is None:
        others = "other input raises ValueError."
    else:
        others = f"unknown words are read as {text(frame.unknown)}."
    command = f"Example: {shell_command(['python', f'{name}.py', *example])}"
    usage = f"Input: {expected}; {others}"
    lines = wrap(" ".join([f"{name}: {answers}.", *about, f"Written by {by}."]), LINE_WIDTH - 3)
    lines += [usage, command] if frame.columns else [f"{usage} {command}"]
    if with_counts:
        lines.append("Comments after branches: number of training positions that took the branch.")
    modules = "import sys\n" if frame.digits is None else "import re\nimport sys\n"
    return f"{docstring(lines)}\n\n{modules}"
