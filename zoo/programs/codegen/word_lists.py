"""Word lists of an exported file: for each property of words, the words that have each value."""

from __future__ import annotations

from textwrap import wrap

from zoo.programs.codegen.layout import LINE_WIDTH, literal, text
from zoo.programs.codegen.vocabulary import properties
from zoo.programs.ir.nodes import Input
from zoo.programs.ir.program import Program

BY_WORD = '''def by_word(values):
    """Return a dictionary from words to values, given the words of each value."""
    return {word: value for value, words in values.items() for word in words.split()}
'''


def word_lists(program: Program) -> list[str]:
    """Return for each property a dictionary of words, written value by value, after the function that builds it."""
    frame = program.frame
    parts = [BY_WORD]
    for node in properties(program):
        domain = program.domains[node.name]
        default = _default(program, node)
        lines = [f"{node.name.upper()} = by_word({{  # {literal(domain, default)} for all other words"]
        for value in sorted(set(node.table) - {default}):
            words = [token for token, v in zip(frame.tokens, node.table, strict=True) if v == value]
            rows = wrap(" ".join(words), LINE_WIDTH - 12, break_long_words=False, break_on_hyphens=False)
            key = literal(domain, value)
            if len(rows) == 1 and len(f"    {key}: {text(rows[0])},") <= LINE_WIDTH:
                lines.append(f"    {key}: {text(rows[0])},")
            else:
                lines.append(f"    {key}:")
                lines += [f"        {text(row + ' ')}" for row in rows[:-1]]
                lines.append(f"        {text(rows[-1])},")
        parts.append("\n".join([*lines, "})"]) + "\n")
    return parts


def word_lookup(program: Program, node: Input, token: str) -> str:
    """Return the expression that computes a property of every word in the list ``token``."""
    default = literal(program.domains[node.name], _default(program, node))
    return f"[{node.name.upper()}.get(t, {default}) for t in {token}]"


def _default(program: Program, node: Input) -> int:
    """Return the value of all words that are not listed."""
    assert program.frame.unknown is not None
    return node.table[program.frame.codes[program.frame.unknown]]
