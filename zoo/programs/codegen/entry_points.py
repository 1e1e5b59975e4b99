"""Functions of an exported file that its user calls: ``variables``, ``scores`` and ``run``."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.programs.codegen.layout import LINE_WIDTH, full_lines, integer, text
from zoo.programs.codegen.vocabulary import by_value, properties
from zoo.programs.ir.program import Program
from zoo.sequence_spec import Frame


def variables_function(program: Program, calls: Sequence[tuple[str, str]], token: str) -> str:
    """Return ``variables(words)``: the variables of the read-out at every position.

    Args:
        program: that is exported.
        calls: names of variables and the expressions that compute them, in order.
        token: name of the list of tokens.
    """
    frame = program.frame
    words, refused, expected = _accepted_words(program)
    spelling = [f"    words = [{_spelling(frame)} for w in words]"] if frame.lower or frame.digits is not None else []
    tokens = ", ".join([*map(text, frame.before), words, *map(text, frame.after)])
    pairs = [f"{text(name)}: {name}" for name in program.reads]
    last = f"    return {{{', '.join(pairs)}}}"
    if len(last) > LINE_WIDTH:
        last = "\n".join(["    return {", *(f"    {line}" for line in full_lines(pairs).splitlines()), "    }"])
    lines = [
        "def variables(words):",
        '    """Return the variables that scores are computed from, with a value for every position."""',
        *spelling,
        f"    if not 1 <= len(words) <= {integer(frame.room)}{refused}:",
        f'        raise ValueError(f"{{words}}: expected {expected}")',
        f"    {token} = [{tokens}]",
        *(f"    {name} = {expression}" for name, expression in calls if name != token),
        last,
    ]
    return "\n".join(lines) + "\n"


def _accepted_words(program: Program) -> tuple[str, str, str]:
    """Return the words as items of a list, the condition that refuses them, and what is expected."""
    frame = program.frame
    added = sorted({*frame.before, *frame.after})
    number = f"1 to {integer(frame.room)} words"
    if by_value(program):
        return "*words", "", number
    if frame.columns:
        return (
            "*words",
            ' or not set(words) <= set(TOKENS) or [w.partition("=")[0] for w in words] != list(COLUMNS)',
            "one word of {TOKENS} for each of {COLUMNS}",
        )
    if frame.unknown is not None:
        return f"*(w if w in TOKENS else {text(frame.unknown)} for w in words)", "", number
    refused = " or not set(words) <= set(TOKENS)"
    if added and properties(program):  # TOKENS then has the tokens that are added to every sequence
        refused += f" or not {{{', '.join(map(text, added))}}}.isdisjoint(words)"
    return "*words", refused, f"{number} of {{TOKENS}}"


def _spelling(frame: Frame) -> str:
    """Return the expression that normalizes a word ``w``."""
    word = "w.lower()" if frame.lower else "w"
    return word if frame.digits is None else f're.sub(r"\\d+", {text(frame.digits)}, {word})'


def scores_function(program: Program) -> str:
    """Return ``scores(words)``: the logits of each class, for each word or for the whole sequence."""
    frame = program.frame
    kinds = {program.domains[name].number for name in program.reads}
    terms = []
    if False in kinds:
        terms.append("*(table[value[name][i]] for name, table in SCORES.items() if value[name][i] in table)")
    if True in kinds:
        terms.append("*([u * value[name][i] for u in units] for name, units in PER_UNIT.items())")
    first, last = len(frame.before), len(frame.after)
    if program.pooled:
        size = f"len(words) + {first + last}" if first + last else "len(words)"
        summary = "Return the score of each class, the mean over all positions."
        positions = f"range({size})"
        result = "[sum(score) / len(rows) for score in zip(*(map(sum, zip(*row)) for row in rows))]"
    else:
        summary = "Return for each word the score of each class."
        positions = f"range({first}, {first} + len(words))" if first else "range(len(words))"
        result = "[[sum(score) for score in zip(*row)] for row in rows]"
    lines = ["def scores(words):", f'    """{summary}"""', f"    value, every = variables(words), {positions}"]
    if len(terms) < 2:
        lines.append(f"    rows = [[{', '.join(['BASE', *terms])}] for i in every]")
    else:
        pair = [f"        [BASE, {terms[0]},", f"         {terms[1]}]"]
        lines += ["    rows = [", *pair, "        for i in every", "    ]"]
    return "\n".join([*lines, f"    return {result}"]) + "\n"


def run_function(program: Program) -> str:
    """Return ``run(words)``, the answers, and the lines that run it from a terminal."""
    if program.pooled:
        body = ["    row = scores(words)", "    return CLASSES[row.index(max(row))]"]
        call = "print(run(sys.argv[1:]))"
    else:
        body = ["    return [CLASSES[row.index(max(row))] for row in scores(words)]"]
        call = "print(*run(sys.argv[1:]))"
    command = ["    sys.tracebacklimit = 0  # an error is one line", f"    {call}"]
    return "\n".join(["def run(words):", *body, "", "", 'if __name__ == "__main__":', *command]) + "\n"
