"""Comparison of a program with a reference function, on all inputs up to a length or on random ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product

from zoo.programs.ir.interpreter import answer
from zoo.programs.ir.program import Program

Reference = Callable[[list[str]], Sequence[str | None] | str]
BATCH_SIZE = 2048  # inputs that are run at once


@dataclass(frozen=True)
class Counterexample:
    """An input on which program and reference differ.

    Attributes:
        words: the input.
        program: answers of the program.
        reference: correct answers; None where any answer is correct.
    """

    words: list[str]
    program: list[str] | str
    reference: list[str | None] | str


@dataclass(frozen=True)
class Verdict:
    """Result of a comparison.

    Attributes:
        checked: number of inputs that were compared.
        proven: length up to which all inputs were compared and agree; 0 for none.
        counterexample: the first input that differs; None if all agree.
    """

    checked: int
    proven: int
    counterexample: Counterexample | None


def check_all_inputs(program: Program, reference: Reference, words: Sequence[str], *, length: int) -> Verdict:
    """Compare on every input of up to ``length`` words, shortest first, and stop at the first that differs.

    Args:
        program: to verify.
        reference: correct answers to a list of words; None where any answer is correct.
        words: of which inputs consist.
        length: largest number of words.

    Raises:
        ValueError: if the program does not accept inputs of that length.
    """
    if not 1 <= length <= program.frame.room:
        raise ValueError(f"length is {length}; expected 1 to {program.frame.room}")
    checked = 0
    for n in range(1, length + 1):
        count, counterexample = _compare(program, reference, (list(w) for w in product(words, repeat=n)))
        checked += count
        if counterexample is not None:
            return Verdict(checked, n - 1, counterexample)
    return Verdict(checked, length, None)


def check_random_inputs(
    program: Program, reference: Reference, words: Sequence[str], *, tries: int = 10_000, seed: int = 0
) -> Verdict:
    """Compare on random inputs of all lengths; a counterexample is shortened by leaving out words."""
    draw = random.Random(seed)
    room = program.frame.room
    inputs = ([draw.choice(words) for _ in range(1 + i % room)] for i in range(tries))
    checked, counterexample = _compare(program, reference, inputs)
    return Verdict(checked, 0, counterexample and shortest(program, reference, counterexample))


def shortest(program: Program, reference: Reference, counterexample: Counterexample) -> Counterexample:
    """Leave out words of a counterexample one by one as long as program and reference still differ."""
    current = counterexample
    place = 0
    while place < len(current.words) and len(current.words) > 1:
        fewer = current.words[:place] + current.words[place + 1 :]
        _, shorter = _compare(program, reference, iter([fewer]))
        if shorter is None:
            place += 1
        else:
            current = shorter
            place = 0
    return current


def _compare(program: Program, reference: Reference, inputs: Iterator[list[str]]) -> tuple[int, Counterexample | None]:
    """Return the number of inputs compared, and the first that differs."""
    checked = 0
    while batch := list(islice(inputs, BATCH_SIZE)):
        for words, answers in zip(batch, answer(program, batch), strict=True):
            correct = reference(words)
            correct = correct if isinstance(correct, str) else list(correct)
            checked += 1
            if not _agree(answers, correct):
                return checked, Counterexample(words, answers, correct)
    return checked, None


def _agree(answers: list[str] | str, correct: list[str | None] | str) -> bool:
    if isinstance(answers, str) or isinstance(correct, str):
        return answers == correct
    return len(answers) == len(correct) and all(b is None or a == b for a, b in zip(answers, correct, strict=True))
