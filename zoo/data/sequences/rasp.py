"""Small tasks on sequences, each with a short program that solves it: reverse, sort, count, match brackets, copy.

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

from zoo.data.labeled_sequences import Sequences, as_split
from zoo.data.split import Split
from zoo.registry import register
from zoo.sequence_spec import Frame

Task = Literal["reverse", "hist", "double_hist", "sort", "most_freq", "dyck1", "dyck2", "induction"]
BEGIN, END, UNKNOWN, OTHER = "<s>", "</s>", "<unk>", "<never in training>"
BRACKETS = ("()", "{}")


@register
class Rasp(Sequences):
    """Sequences drawn from the seed and the right answer at each position.

    A label that no training sequence has is no class of its own: all such answers share the class ``<never in
    training>``, which is there only if validation or test need it, and is never right to give.

    Args:
        task: which.
        vocabulary: symbols and special tokens together, padding among them; the brackets of dyck are always two kinds
            of one, or of two.
        length: of the longest sequence, special tokens included.
        least: of the shortest balanced string of dyck before it is cut to ``length``; None for ``length``.
        size: sequences drawn, at most; they are distinct.
        even: share of the training draws in which all lengths are equally likely; most sequences are long.
        batch_size: sequences of one rank.
        common: the other arguments of ``Data``; ``val`` is not used: a tenth is for testing, a tenth of the rest for
            validation.

    Raises:
        ValueError: if an argument is unknown or out of range.
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
        self.task, self.size, self.even, self.least = task, size, even, length if least is None else least
        special = 3 if task in ("reverse", "sort") else 2  # padding is one of them
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
        found: dict[tuple[str, ...], None] = {}
        for _ in range(5):  # as often as it takes, but no more: short strings run out
            found |= dict.fromkeys(self._draw(rng, self.size))
            if len(found) >= self.size:
                break
        rows = list(map(list, found))[: self.size]
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
    def class_names(self) -> tuple[str, ...]:
        """Labels of the training split, and one for all others if there are others."""
        every = self._labels.items()
        seen = {name: {label for row in rows for label in row if label is not None} for name, rows in every}
        others = (OTHER,) if (seen["val"] | seen["test"]) - seen["train"] else ()
        return (*sorted(seen["train"], key=lambda label: (len(label), label)), *others)

    def answers(self, words: list[str]) -> list[str | None]:
        """What is right at each position; None where anything is."""
        return ANSWERS[self.task](words)

    def _read(self) -> dict[str, Split]:
        place: dict[str | None, int] = {label: i for i, label in enumerate(self.class_names)}
        place[None] = -1
        assert self.sequence is not None
        found = {}
        for name, rows in self._drawn.items():
            labels = [[place[label if label in place else OTHER] for label in row] for row in self._labels[name]]
            found[name] = as_split(name, self.sequence, rows, labels, whole=False)
        return found

    def _check_split(self, name: str, split: Split) -> None:
        if OTHER not in self.class_names:  # which no training sequence has, on purpose
            super()._check_split(name, split)


def _brackets(rng: np.random.Generator, symbols: list[str], room: int, least: int, most: int) -> list[str]:
    """Half of the time any brackets; else a balanced string, filled up with any brackets, or cut."""
    any_of = lambda n: [symbols[i] for i in rng.integers(0, len(symbols), n)]  # noqa: E731
    if rng.random() < 0.5:
        return any_of(room)
    found: list[str] = []
    for _ in range(rng.integers(least // 2, most // 2 + 1)):
        kind = 2 * int(rng.integers(0, len(symbols) // 2))
        pair = symbols[kind : kind + 2]
        found = [*found, *pair] if rng.random() < 0.5 else [pair[0], *found, pair[1]]
    return (found + any_of(max(0, room - len(found))))[:room]


def _pairs(rng: np.random.Generator, symbols: list[str], count: int) -> list[str]:
    """Letters, each followed by its digit, which this sequence has drawn for it; a digit before or a letter behind."""
    half = len(symbols) // 2
    letters, digits = symbols[:half], symbols[half:]
    meant = rng.integers(0, half, half)
    words = [w for i in rng.integers(0, half, count) for w in (letters[i], digits[meant[i]])]
    if rng.random() < 0.5:
        return [digits[rng.integers(0, half)], *words]
    return [*words, letters[rng.integers(0, half)]]


def _hist(words: list[str]) -> list[str | None]:
    count = Counter(words)
    return [str(count[word]) for word in words]


def _double_hist(words: list[str]) -> list[str | None]:
    count = Counter(words)
    alike = Counter(count.values())
    return [str(alike[count[word]]) for word in words]


def _most_freq(words: list[str]) -> list[str | None]:
    count = Counter(words)
    ranked = sorted(count, key=lambda word: (-count[word], words.index(word)))
    return [*ranked, *[BEGIN] * (len(words) - len(ranked))]


def _dyck(words: list[str]) -> list[str | None]:
    closes = {pair[1]: pair[0] for pair in BRACKETS}
    stack: list[str] = []
    said: list[str | None] = []
    for word in words:
        if said and said[-1] == "F":
            said.append("F")
        elif word not in closes:
            stack.append(word)
            said.append("P")
        elif stack and stack[-1] == closes[word]:
            stack.pop()
            said.append("P" if stack else "T")
        else:
            said.append("F")
    return said


def _induction(words: list[str]) -> list[str | None]:
    known: dict[str, str] = {}
    said: list[str | None] = []
    for i, word in enumerate(words):
        said.append(None if word.isdigit() else known.get(word, UNKNOWN))
        if i and word.isdigit() and not words[i - 1].isdigit():
            known[words[i - 1]] = word
    return said


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
