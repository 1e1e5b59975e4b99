"""Writes a program as one stand-alone Python file that computes the same and is meant to be read."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import join
from textwrap import wrap

from torch import Tensor

from zoo.programs.codegen.conditions import WIDE
from zoo.programs.codegen.constants import constants, fill
from zoo.programs.codegen.functions import write
from zoo.programs.codegen.vocabulary import by_value, is_token, properties
from zoo.programs.ir.nodes import Count, Input, Select
from zoo.programs.ir.program import Program
from zoo.programs.ir.reachability import coverage, reachable
from zoo.sequence_spec import Frame

SELECT = '''def copy_from(wanted, key, value):
    """Copy from the nearest position with the wanted key: the earlier of two, itself last, the first if none."""
    found = [[j for j, k in enumerate({key}) if k == w] for {w} in {wanted}]
    return [value[min(js, key=lambda j: (j == i, abs(j - i), j), default=0)] for i, js in enumerate(found)]
'''
COUNT = '''def count_where(wanted, key):
    """At how many positions{seen} the key is the wanted one."""
    return [sum(k == w for k in {key}) for {w} in {wanted}]
'''
ADD = '''def sum_where(wanted, key, value):
    """Sum of the values over the positions{seen} whose key is the wanted one."""
    return [sum(v for k, v in zip({key}, value) if k == w) for {w} in {wanted}]
'''
ALL = {"key": "key", "w": "w", "wanted": "wanted", "seen": ""}
CAUSAL = {"key": "key[: i + 1]", "w": "i, w", "wanted": "enumerate(wanted)", "seen": " up to its own"}


def print_program(
    program: Program, *, name: str, about: Sequence[str] = (), codes: Tensor | None = None, by: str = "zoo"
) -> str:
    """The source of a module with ``run(words)``, ``scores(words)`` and ``variables(words)``.

    Args:
        program: what to write.
        name: of the file, without ``.py``.
        about: lines for its docstring.
        codes: ``(b, length)`` sequences whose coverage is written beside each branch.
        by: who writes it.
    """
    known = reachable(program)
    counts = {} if codes is None else {k: v.tolist() for k, v in coverage(program, codes).items()}
    body, calls = [], []
    for node in program.nodes:
        text, call = write(program, node, known, counts.get(node.name))
        body += text
        calls.append(f"    {node.name} = {call}")
    kinds = {type(node) if not isinstance(node, Count) else ("count", node.value is None) for node in program.nodes}
    uses = {Select: SELECT, ("count", True): COUNT, ("count", False): ADD}
    helpers = [text.format(**(CAUSAL if program.causal else ALL)) for kind, text in uses.items() if kind in kinds]
    parts = [_head(program, name, about, by, bool(body) and codes is not None), *constants(program), *helpers, *body]
    parts += [_variables(program, calls), _scores(program), _run(program)]
    return "\n\n".join(part.strip("\n") + "\n" for part in _spaced(parts))


def _spaced(parts: list[str]) -> list[str]:
    """Constants stand one below the other, functions apart."""
    out: list[str] = [parts[0]]
    for part in parts[1:]:
        if part[0].isupper() and not out[-1].startswith("def "):
            out[-1] = out[-1].rstrip("\n") + ("\n" if len(out[-1]) > len(parts[0]) else "\n\n") + part
        else:
            out.append(part)
    return out


def _head(program: Program, name: str, about: Sequence[str], by: str, covered: bool) -> str:
    frame, one = program.frame, "one answer for all words" if program.pooled else "one answer for each word"
    known = "" if by_value(program) else " of TOKENS"
    some = [t for t in frame.tokens if t not in {*frame.before, *frame.after, frame.unknown}][:3]
    takes = f"1 to {frame.room} words{known}"
    if frame.columns:
        first = {t.partition("=")[0]: t for t in reversed(frame.tokens)}
        takes, some = "a word of TOKENS for each of COLUMNS, in order", [first[column] for column in frame.columns]
    other = "any other input: ValueError" if frame.unknown is None else f"unknown ones are read as {frame.unknown!r}"
    lines = [
        *wrap(" ".join([f"{name}: {one}.", *about, f"Written by {by}."]), WIDE - 3),
        f"Takes {takes}; {other}.{chr(10) if frame.columns else ' '}Run it: python {name}.py {join(some)}",
        *(["Behind # stands how often the training data took a branch."] if covered else []),
    ]
    text = "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''")
    modules = "import sys\n" if frame.digits is None else "import re\nimport sys\n"
    return f'"""{text}\n"""\n\n{modules}'


def _variables(program: Program, calls: list[str]) -> str:
    frame = program.frame
    around = sorted({*frame.before, *frame.after})
    words, wrong = "*words", " or not set(words) <= set(TOKENS)"
    expected = f"1 to {frame.room} words of {{TOKENS}}"
    if by_value(program):
        words, wrong, expected = "*words", "", f"1 to {frame.room} words"
    elif frame.columns:
        wrong += ' or [w.partition("=")[0] for w in words] != list(COLUMNS)'
        expected = "a word of {TOKENS} for each of {COLUMNS}"
    elif frame.unknown is not None:
        words, wrong = f"*(w if w in TOKENS else {frame.unknown!r} for w in words)", ""
        expected = f"1 to {frame.room} words"
    elif around and properties(program):  # whose table has them
        wrong += f" or not {{{', '.join(map(repr, around))}}}.isdisjoint(words)"
    spelt = [f"    words = [{_spelling(frame)} for w in words]"] if frame.lower or frame.digits is not None else []
    before, after = ("".join(f"{t!r}, " for t in frame.before), "".join(f", {t!r}" for t in frame.after))
    if not any(isinstance(node, Input) and is_token(node) for node in program.nodes):
        calls = ["    token = TOKEN", *calls]
    pairs = [f"{name!r}: {name}" for name in program.reads]
    last = f"    return {{{', '.join(pairs)}}}"
    if len(last) > WIDE:
        last = "\n".join(["    return {", *(f"    {line}" for line in fill(pairs).splitlines()), "    }"])
    lines = [
        "def variables(words):",
        '    """What the answer is read off, at every position."""',
        *spelt,
        f"    if not 1 <= len(words) <= {frame.room}{wrong}:",
        f'        raise ValueError(f"{{words}}: expected {expected}")',
        *(call.replace("= TOKEN", f"= [{before}{words}{after}]") for call in calls),
        last,
    ]
    return "\n".join(lines) + "\n"


def _spelling(frame: Frame) -> str:
    """How a word ``w`` is read."""
    word = "w.lower()" if frame.lower else "w"
    return word if frame.digits is None else f're.sub(r"\\d+", {frame.digits!r}, {word})'


def _scores(program: Program) -> str:
    kinds = {program.domains[name].number for name in program.reads}
    added = []
    if False in kinds:
        added.append("*(table[found[name][i]] for name, table in SCORES.items() if found[name][i] in table)")
    if True in kinds:
        added.append("*([u * found[name][i] for u in units] for name, units in PER_UNIT.items())")
    first, last = len(program.frame.before), len(program.frame.after)
    if program.pooled:
        size = f"len(words) + {first + last}" if first + last else "len(words)"
        says, every = "The score of each class: the mean over all positions.", f"range({size})"
        end = "    return [sum(score) / len(rows) for score in zip(*(map(sum, zip(*row)) for row in rows))]"
    else:
        says, every = "For each word the score of each class.", f"range({first}, {first} + len(words))"
        every = every if first else "range(len(words))"
        end = "    return [[sum(score) for score in zip(*row)] for row in rows]"
    lines = ["def scores(words):", f'    """{says}"""', f"    found, every = variables(words), {every}"]
    if len(added) < 2:
        lines.append(f"    rows = [[{', '.join(['BASE', *added])}] for i in every]")
    else:
        both = [f"        [BASE, {added[0]},", f"         {added[1]}]"]
        lines += ["    rows = [", *both, "        for i in every", "    ]"]
    return "\n".join([*lines, end]) + "\n"


def _run(program: Program) -> str:
    if program.pooled:
        says = ["    row = scores(words)", "    return CLASSES[row.index(max(row))]"]
        show = "print(run(sys.argv[1:]))"
    else:
        says = ["    return [CLASSES[row.index(max(row))] for row in scores(words)]"]
        show = "print(*run(sys.argv[1:]))"
    return "\n".join(["def run(words):", *says, "", "", 'if __name__ == "__main__":', f"    {show}"]) + "\n"
