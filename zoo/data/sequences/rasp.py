"""Small algorithmic tasks on sequences: reverse, sort, count, match brackets, copy.

The generators are those of Friedman, Wettig, Chen, Learning Transformer Programs, NeurIPS 2023, after Weiss, Goldberg,
Yahav, Thinking Like Transformers, ICML 2021; ``dyck`` labels as in the Prefix, True, False form, ``induction`` as their
in-context learning task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from zoo.data.labeled_sequences import LabeledSequenceData, as_split
from zoo.data.split import Split
from zoo.registry import register
from zoo.sequence_spec import Frame

Task = Literal["reverse", "hist", "double_hist", "sort", "most_freq", "dyck1", "dyck2", "induction"]
BEGIN, END, UNKNOWN, OTHER = "<s>", "</s>", "<unk>", "<never in training>"
BRACKETS = ("()", "{}")


@register
class Rasp(LabeledSequenceData):
    """Random sequences with the correct answer at each position.

    A label that no training sequence has is not a class: all such answers share the class ``<never in training>``,
    which exists only if validation or test need it and is never a correct prediction.

    Args:
        task: name of the task.
        vocabulary: number of symbols and special tokens, padding included; dyck1 always has one pair of brackets, dyck2
            two.
        length: maximum length of a sequence, special tokens included.
        least: minimum length of a balanced string of dyck before it is cut to ``length``; None for ``length``.
        size: maximum number of sequences; they are distinct.
        even: share of the training draws in which all lengths are equally likely; most sequences are long.
        batch_size: sequences per batch on each rank.
        common: other arguments of ``zoo.data.base.Data``; ``val`` is not used: a tenth of the sequences is the test
            split, a tenth of the rest the validation split.

    Raises:
        ValueError: if an argument is unknown or out of range.

    Example:
        >>> from zoo.data import create_data
        >>> create_data("rasp", task="hist", size=50).answers(["a", "b", "a"])
        ['2', '1', '2']
    """

    license = "drawn by zoo"

    def __init__(
        self,
        *,
        task: Task = "hist",
        vocabulary: int = 8,
        length: int = 8,
        least: int | None = None,
        size: int = 20_000,
        even: float = 0.0,
        batch_size: int = 512,
        **common: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **common)
        if task not in get_args(Task):
            raise ValueError(f"data.task is {task!r}; expected one of {', '.join(get_args(Task))}")
        if size < 50:
            raise ValueError(f"data.size is {size}; expected 50 or more")
        if not 0 <= even <= 1:
            raise ValueError(f"data.even is {even}; expected a share, 0 to 1")
        self.task = task
        self.size = size
        self.even = even
        self.least = length if least is None else least
        special = 3 if task in ("reverse", "sort") else 2  # including padding
        symbols = {"dyck1": 2, "dyck2": 4}.get(task, vocabulary - special)
        if symbols < 2 or (task == "induction" and symbols % 2):
            raise ValueError(f"data.vocabulary is {vocabulary}; expected {special + 2} or more, even for induction")
        if task == "induction" and length % 2:
            raise ValueError(f"data.length is {length}; induction needs an even one: pairs, one more token and {BEGIN}")
        if task.startswith("dyck"):
            self.symbols = [mark for pair in BRACKETS[: symbols // 2] for mark in pair]
        elif task == "induction":
            half = symbols // 2
            self.symbols = [chr(ord("a") + i) for i in range(half)] + list(map(str, range(half)))
        else:
            self.symbols = list(map(str, range(symbols)))
        after = (END,) if task in ("reverse", "sort") else ()
        self.sequence = Frame((*self.symbols, BEGIN, *after), length, (BEGIN,), after)

    @cached_property
    def _drawn(self) -> dict[str, list[list[str]]]:
        rng = np.random.default_rng(self.seed)
        distinct: dict[tuple[str, ...], None] = {}
        for _ in range(5):  # there may be fewer short strings than requested
            distinct |= dict.fromkeys(self._draw(rng, self.size))
            if len(distinct) >= self.size:
                break
        rows = list(map(list, distinct))[: self.size]
        order = rng.permutation(len(rows))
        test = round(0.1 * len(rows))
        val = round(0.1 * (len(rows) - test))
        parts = {"test": order[:test], "val": order[test : test + val], "train": order[test + val :]}
        return {name: [rows[i] for i in parts[name]] for name in ("train", "val", "test")}

    def _draw(self, rng: np.random.Generator, count: int) -> list[tuple[str, ...]]:
        assert self.sequence is not None
        room = self.sequence.room
        if self.task.startswith("dyck"):
            return [tuple(_brackets(rng, self.symbols, room, self.least, room + 1)) for _ in range(count)]
        if self.task == "induction":
            return [tuple(_pairs(rng, self.symbols, room // 2)) for _ in range(count)]
        symbols = np.array(self.symbols)[rng.integers(0, len(self.symbols), (count, room))].tolist()
        return [tuple(row[:n]) for row, n in zip(symbols, rng.integers(1, room + 1, count).tolist(), strict=True)]

    @cached_property
    def _labels(self) -> dict[str, list[list[str | None]]]:
        return {name: [self.answers(words) for words in rows] for name, rows in self._drawn.items()}

    @cached_property
    def class_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Labels of the training split, and one for all other labels if there are any."""
        splits = self._labels.items()
        labels = {name: {label for row in rows for label in row if label is not None} for name, rows in splits}
        others = (OTHER,) if (labels["val"] | labels["test"]) - labels["train"] else ()
        return (*sorted(labels["train"], key=lambda label: (len(label), label)), *others)

    def answers(self, words: list[str]) -> list[str | None]:
        """Return the correct answer at each position; None where any answer is accepted."""
        return ANSWERS[self.task](words)

    def _read(self) -> dict[str, Split]:
        place: dict[str | None, int] = {label: i for i, label in enumerate(self.class_names)}
        place[None] = -1
        assert self.sequence is not None
        splits: dict[str, Split] = {}
        for name, rows in self._drawn.items():
            labels = [[place[label if label in place else OTHER] for label in row] for row in self._labels[name]]
            splits[name] = as_split(name, self.sequence, rows, labels, whole=False)
        return splits

    def _check_split(self, name: str, split: Split) -> None:
        if OTHER not in self.class_names:  # no training sequence has this class
            super()._check_split(name, split)


def _brackets(rng: np.random.Generator, symbols: list[str], room: int, shortest: int, longest: int) -> list[str]:
    """Return random brackets or, with probability 0.5, a balanced string padded with random brackets or cut."""
    any_of = lambda n: [symbols[i] for i in rng.integers(0, len(symbols), n)]  # noqa: E731
    if rng.random() < 0.5:
        return any_of(room)
    text: list[str] = []
    for _ in range(rng.integers(shortest // 2, longest // 2 + 1)):
        kind = 2 * int(rng.integers(0, len(symbols) // 2))
        pair = symbols[kind : kind + 2]
        text = [*text, *pair] if rng.random() < 0.5 else [pair[0], *text, pair[1]]
    return (text + any_of(max(0, room - len(text))))[:room]


def _pairs(rng: np.random.Generator, symbols: list[str], count: int) -> list[str]:
    """Return letters, each followed by its digit in this sequence, and one digit before or one letter after."""
    half = len(symbols) // 2
    letters = symbols[:half]
    digits = symbols[half:]
    assigned = rng.integers(0, half, half)
    words = [w for i in rng.integers(0, half, count) for w in (letters[i], digits[assigned[i]])]
    if rng.random() < 0.5:
        return [digits[rng.integers(0, half)], *words]
    return [*words, letters[rng.integers(0, half)]]


def _hist(words: list[str]) -> list[str | None]:
    count = Counter(words)
    return [str(count[word]) for word in words]


def _double_hist(words: list[str]) -> list[str | None]:
    count = Counter(words)
    same_count = Counter(count.values())
    return [str(same_count[count[word]]) for word in words]


def _most_freq(words: list[str]) -> list[str | None]:
    count = Counter(words)
    ranked = sorted(count, key=lambda word: (-count[word], words.index(word)))
    return [*ranked, *[BEGIN] * (len(words) - len(ranked))]


def _dyck(words: list[str]) -> list[str | None]:
    closes = {pair[1]: pair[0] for pair in BRACKETS}
    stack: list[str] = []
    answers: list[str | None] = []
    for word in words:
        if answers and answers[-1] == "F":
            answers.append("F")
        elif word not in closes:
            stack.append(word)
            answers.append("P")
        elif stack and stack[-1] == closes[word]:
            stack.pop()
            answers.append("P" if stack else "T")
        else:
            answers.append("F")
    return answers


def _induction(words: list[str]) -> list[str | None]:
    known: dict[str, str] = {}
    answers: list[str | None] = []
    for i, word in enumerate(words):
        answers.append(None if word.isdigit() else known.get(word, UNKNOWN))
        if i and word.isdigit() and not words[i - 1].isdigit():
            known[words[i - 1]] = word
    return answers


ANSWERS: dict[str, Callable[[list[str]], list[str | None]]] = {
    "reverse": lambda words: [*words[::-1]],
    "sort": lambda words: [*sorted(words)],
    "hist": _hist,
    "double_hist": _double_hist,
    "most_freq": _most_freq,
    "dyck1": _dyck,
    "dyck2": _dyck,
    "induction": _induction,
}
