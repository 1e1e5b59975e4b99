"""Looks for an input on which a program is wrong, or shows that there is none up to a length."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product

from zoo.programs.ir.interpreter import answer
from zoo.programs.ir.program import Program

Reference = Callable[[list[str]], Sequence[str | None] | str]
CHUNK = 2048


@dataclass(frozen=True)
class Counterexample:
    """An input on which program and reference differ.

    Attributes:
        words: the input.
        program: what the program answers.
        reference: what is right; None where anything is.
    """

    words: list[str]
    program: list[str] | str
    reference: list[str | None] | str


@dataclass(frozen=True)
class Verdict:
    """What a search found.

    Attributes:
        checked: how many inputs were compared.
        proven: the length up to which every input was compared and agreed; 0 for none.
        counterexample: the first input that differs, None if all agree.
    """

    checked: int
    proven: int
    counterexample: Counterexample | None


def exhaust(program: Program, reference: Reference, words: Sequence[str], *, length: int) -> Verdict:
    """Compare on every input of up to ``length`` words, shortest first; stops at the first that differs.

    Args:
        program: to verify.
        reference: the right answers to a list of words; None where anything is right.
        words: that inputs are made of.
        length: largest number of words.

    Raises:
        ValueError: if the program takes no input of that length.
    """
    if not 1 <= length <= program.frame.room:
        raise ValueError(f"length is {length}; expected 1 to {program.frame.room}")
    checked = 0
    for n in range(1, length + 1):
        some = (list(w) for w in product(words, repeat=n))
        many, found = _compare(program, reference, some)
        checked += many
        if found is not None:
            return Verdict(checked, n - 1, found)
    return Verdict(checked, length, None)


def search(
    program: Program, reference: Reference, words: Sequence[str], *, tries: int = 10_000, seed: int = 0
) -> Verdict:
    """Compare on random inputs of all lengths; one that differs is made as short as leaving out words can make it."""
    draw = random.Random(seed)
    room = program.frame.room
    inputs = ([draw.choice(words) for _ in range(1 + i % room)] for i in range(tries))
    checked, found = _compare(program, reference, inputs)
    return Verdict(checked, 0, found and shortest(program, reference, found))


def shortest(program: Program, reference: Reference, found: Counterexample) -> Counterexample:
    """Leave out words of a counterexample one by one as long as it stays one."""
    at = 0
    while at < len(found.words) and len(found.words) > 1:
        _, less = _compare(program, reference, iter([found.words[:at] + found.words[at + 1 :]]))
        found, at = (less, 0) if less is not None else (found, at + 1)
    return found


def _compare(program: Program, reference: Reference, inputs: Iterator[list[str]]) -> tuple[int, Counterexample | None]:
    checked = 0
    while some := list(islice(inputs, CHUNK)):
        for words, said in zip(some, answer(program, some), strict=True):
            right = reference(words)
            right = right if isinstance(right, str) else list(right)
            checked += 1
            if not _agree(said, right):
                return checked, Counterexample(words, said, right)
    return checked, None


def _agree(said: list[str] | str, right: list[str | None] | str) -> bool:
    if isinstance(said, str) or isinstance(right, str):
        return said == right
    return len(said) == len(right) and all(b is None or a == b for a, b in zip(said, right, strict=True))
