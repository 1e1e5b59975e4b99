"""Changes of texts as they were written that should not change what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from zoo.metrics.base import count
from zoo.metrics.perturbations._synonyms import synonym_groups
from zoo.metrics.perturbations._text_change import TextChange, Word
from zoo.metrics.perturbations._text_edits import Edit, is_punctuation, letters_in_case

SHORTEST = 4  # letters of a word that gets a typo, whose first and last letter stay
CLAUSES = (
    "I am writing this on a Tuesday.",
    "This is my own opinion.",
    "A friend asked me about it.",
    "It took a few minutes to write this.",
    "I wrote this on the train.",
)


@dataclass(frozen=True)
class Typos(TextChange):
    """Words with a typo: two inner letters exchanged, one left out or one doubled; the first and last letter stay.

    Words of fewer than four letters, or with other characters than letters, have none.

    Attributes:
        number: of words at most.

    Example:
        >>> from zoo.inputs.sentences import SentenceInputs
        >>> from zoo.sequence_spec import Frame
        >>> frame = Frame(("[UNK]", "dull"), 4, unknown="[UNK]", lower=True)
        >>> reader = SentenceInputs(class_names=("bad", "good"), length=4, sequence=frame)
        >>> import torch
        >>> Typos().texts(["a dull film"], torch.tensor([0]), 0, reader)
        ['a dull fiilm']
    """

    random: ClassVar[bool] = True
    number: int = 1

    def __post_init__(self) -> None:
        count("number", self.number)

    def edits(self, text: str, words: Sequence[Word], numbers: Sequence[int]) -> list[Edit]:
        """Return one edit for each of the words chosen."""
        able = [word for word in words if len(word.text) >= SHORTEST and word.text.isalpha()]
        chosen = _choose(able, self.number, numbers)
        return [Edit(w.start, w.end, _misspelt(w.text, n)) for w, n in zip(chosen, numbers[32:], strict=False)]


@dataclass(frozen=True)
class Casing(TextChange):
    """Letters in another case; letters whose other case is several characters stay.

    Attributes:
        to: ``upper``, ``lower`` or ``title``.
    """

    to: Literal["upper", "lower", "title"] = "upper"

    def __post_init__(self) -> None:
        if self.to not in ("upper", "lower", "title"):
            raise ValueError(f"to is {self.to!r}; expected upper, lower or title")

    def edits(self, text: str, words: Sequence[Word], numbers: Sequence[int]) -> list[Edit]:
        """Return an edit for each word that changes."""
        pairs = [(word, letters_in_case(word.text, self.to)) for word in words]
        return [Edit(word.start, word.end, new) for word, new in pairs if new != word.text]


@dataclass(frozen=True)
class Punctuation(TextChange):
    """Punctuation marks left out; a mark between two letters becomes a space.

    Attributes:
        marks: ``all``, or ``final`` for those at the end; a text that has none there gets a full stop.
    """

    marks: Literal["all", "final"] = "all"

    def __post_init__(self) -> None:
        if self.marks not in ("all", "final"):
            raise ValueError(f"marks is {self.marks!r}; expected all or final")

    def edits(self, text: str, words: Sequence[Word], numbers: Sequence[int]) -> list[Edit]:
        """Return an edit for each mark."""
        marks = [word for word in words if is_punctuation(word.text)]
        if self.marks == "final":
            end = len(text.rstrip())
            marks = _run_before(end, marks)
            if not marks:
                return [Edit(end, end, ".")]
        padded = f" {text} "
        inside = [padded[word.start].isalnum() and padded[word.end + 1].isalnum() for word in marks]
        return [Edit(word.start, word.end, " " if space else "") for word, space in zip(marks, inside, strict=True)]


@dataclass(frozen=True)
class Clause(TextChange):
    """A sentence added that says nothing of the matter.

    Attributes:
        clauses: one of which is added; empty for five English ones of our own.
        at: ``end`` or ``start``.
    """

    random: ClassVar[bool] = True
    clauses: tuple[str, ...] = ()
    at: Literal["end", "start"] = "end"

    def __post_init__(self) -> None:
        object.__setattr__(self, "clauses", tuple(self.clauses))
        if not all(isinstance(clause, str) and clause.strip() for clause in self.clauses):
            raise ValueError(f"clauses is {self.clauses!r}; expected a list of texts, none of them empty")
        if self.at not in ("end", "start"):
            raise ValueError(f"at is {self.at!r}; expected end or start")

    def edits(self, text: str, words: Sequence[Word], numbers: Sequence[int]) -> list[Edit]:
        """Return one edit, at the end or the start."""
        clauses = self.clauses or CLAUSES
        clause = clauses[numbers[0] % len(clauses)].strip()
        if self.at == "start":
            return [Edit(0, 0, f"{clause} ")]
        end = len(text.rstrip())
        return [Edit(end, end, f" {clause}")]


@dataclass(frozen=True)
class Synonyms(TextChange):
    """Words replaced by others of their group in a list, in the case of the word.

    Attributes:
        number: of words at most.
        groups: lists of words that can stand for each other; empty for a short English list of our own.
    """

    random: ClassVar[bool] = True
    number: int = 1
    groups: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        count("number", self.number)
        if any(isinstance(group, str) for group in self.groups):
            raise ValueError(f"groups is {self.groups!r}; expected a list of lists of words")
        groups = tuple(tuple(str(word).lower() for word in group) for group in self.groups)
        object.__setattr__(self, "groups", groups)
        words = [word for group in groups for word in group]
        twice = next((word for word in words if words.count(word) > 1), None)
        if twice is not None:
            raise ValueError(f"groups has {twice!r} twice; expected each word in one group, once")
        alone = next((group for group in groups if len(group) < 2), None)
        if alone is not None:
            raise ValueError(f"groups has the group {list(alone)}; expected two words or more")

    def edits(self, text: str, words: Sequence[Word], numbers: Sequence[int]) -> list[Edit]:
        """Return one edit for each of the words chosen."""
        group_of = {word: group for group in self.groups or synonym_groups() for word in group}
        able = [word for word in words if word.text.lower() in group_of]
        edits = []
        for word, number in zip(_choose(able, self.number, numbers), numbers[32:], strict=False):
            old = word.text.lower()
            others = [other for other in group_of[old] if other != old]
            edits.append(Edit(word.start, word.end, _in_case_of(others[number % len(others)], word.text)))
        return edits


def _choose(words: Sequence[Word], number: int, numbers: Sequence[int]) -> list[Word]:
    """Return at most ``number`` of the words, and at most 32, drawn without replacement, in the order of the text."""
    left = list(words)
    chosen = [left.pop(n % len(left)) for n in numbers[: min(number, len(left), 32)]]
    return sorted(chosen, key=lambda word: word.start)


def _misspelt(word: str, number: int) -> str:
    kind, place = number % 3, number // 3
    at = 1 + place % (len(word) - 3)  # a letter that, like the one behind it, is neither first nor last
    if kind == 0 and word[at] != word[at + 1]:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + word[at + 1 :] if kind == 1 else word[: at + 1] + word[at:]


def _in_case_of(word: str, model: str) -> str:
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if model[:1].isupper() else word


def _run_before(end: int, marks: Sequence[Word]) -> list[Word]:
    """Return the marks that stand one behind the other up to a character."""
    run: list[Word] = []
    for mark in reversed(marks):
        if mark.end != end:
            break
        run.insert(0, mark)
        end = mark.start
    return run
