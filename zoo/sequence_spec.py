"""What sequences look like, and what may be known of their positions: travels with data and checkpoint."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from zoo.paths import did_you_mean

NOTHING = -1  # the code of padding


@dataclass(frozen=True)
class Family:
    """Questions of one kind about positions of sequences, such as what stands on each square of a board.

    A property is a question with one of its answers: "there is a white pawn on e4".

    Attributes:
        name: of the family.
        codes: ``(n, t, s)`` integer answer to each of s questions at each position; -1 where there is none.
        questions: s names.
        answers: names of the answers.
        blank: the answer that says that nothing is there; None if every answer says something.
        initial: ``(s,)`` answers before anything has happened; None if they tell nothing.

    Raises:
        ValueError: if the fields do not fit together.
    """

    name: str
    codes: Tensor
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    blank: int | None = None
    initial: Tensor | None = None

    def __post_init__(self) -> None:
        if self.codes.ndim != 3 or self.codes.shape[2] != len(self.questions) or self.codes.is_floating_point():
            raise ValueError(
                f"codes of {self.name} are {tuple(self.codes.shape)} {self.codes.dtype}; expected integers (n, t,"
                f" {len(self.questions)}), one for each question"
            )
        if self.codes.numel() and not -1 <= int(self.codes.min()) <= int(self.codes.max()) < len(self.answers):
            raise ValueError(
                f"codes of {self.name} are {int(self.codes.min())} to {int(self.codes.max())}; expected -1 to"
                f" {len(self.answers) - 1}"
            )
        if self.initial is not None and self.initial.shape != (len(self.questions),):
            raise ValueError(f"initial is {tuple(self.initial.shape)}; expected ({len(self.questions)},)")

    @cached_property
    def telling(self) -> Tensor:
        """``(s, k)`` bool: answers that say more than that nothing is there, or that all is as it was initially."""
        out = torch.ones(len(self.questions), len(self.answers), dtype=torch.bool)
        if self.blank is not None:
            out[:, self.blank] = False
        if self.initial is not None:
            known = self.initial.cpu() >= 0
            out[known.nonzero()[:, 0], self.initial.cpu().long()[known]] = False
        return out


@dataclass(frozen=True)
class Properties:
    """What is known of each position of n sequences.

    Attributes:
        x: ``(n, t)`` contexts, -1 behind their end.
        look: ``(n, t)`` bool, the positions at which units are looked at.
        families: what is known.
    """

    x: Tensor
    look: Tensor
    families: tuple[Family, ...]

    def __post_init__(self) -> None:
        if self.look.shape != self.x.shape or self.look.dtype != torch.bool:
            raise ValueError(f"look is {tuple(self.look.shape)} {self.look.dtype}; expected bool {tuple(self.x.shape)}")
        for family in self.families:
            if family.codes.shape[:2] != self.x.shape:
                found = tuple(family.codes.shape[:2])
                raise ValueError(f"codes of {family.name} are of {found} positions; expected {tuple(self.x.shape)}")


@dataclass(frozen=True)
class Frame:
    """What sequences look like.

    Attributes:
        tokens: the vocabulary.
        before: tokens put in front of what a user gives.
        after: tokens put behind.
        length: largest number of positions, ``before`` and ``after`` included.
        unknown: the token that stands for words outside the vocabulary; None to refuse them.
        lower: whether words are read in lower case.
        digits: what every run of digits in a word is read as; None to read them as they are.
        columns: of rows of a table, whose words are ``column=value``, one for each column and in this order.

    Raises:
        ValueError: if a token stands twice, is not in the vocabulary or of no column, or there is no room for a word.
    """

    tokens: tuple[str, ...]
    length: int
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    unknown: str | None = None
    lower: bool = False
    digits: str | None = None
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.digits is not None and re.search(r"\d|\\", self.digits):
            raise ValueError(f"digits are read as {self.digits!r}; expected a text without digits and backslashes")
        if len(set(self.tokens)) < len(self.tokens) or not self.tokens:
            raise ValueError(f"a vocabulary of {len(self.tokens)} tokens has {len(set(self.tokens))} different ones")
        for token in (*self.before, *self.after, *([self.unknown] if self.unknown is not None else [])):
            if token not in self.tokens:
                raise ValueError(f"{token!r} is not in the vocabulary{did_you_mean(token, list(self.tokens))}")
        of = {token.partition("=")[0] for token in self.tokens}
        if self.columns and (len(self.columns) != self.length or of != set(self.columns)):
            raise ValueError(f"{len(self.columns)} columns, {self.length} words in a row; expected tokens column=value")
        if self.room < 1:
            raise ValueError(f"length {self.length} leaves no room for a word beside {self.before + self.after}")

    @property
    def room(self) -> int:
        """Largest number of words."""
        return self.length - len(self.before) - len(self.after)

    @cached_property
    def codes(self) -> dict[str, int]:
        """Code of each token."""
        return {token: code for code, token in enumerate(self.tokens)}

    def spelt(self, word: str) -> str:
        """A word as the vocabulary would have it."""
        word = word.lower() if self.lower else word
        return word if self.digits is None else re.sub(r"\d+", self.digits, word)

    def encode(self, words: Sequence[str]) -> list[int]:
        """Codes of the words with ``before`` and ``after`` around them.

        Raises:
            ValueError: if there are none, too many, one is unknown, or they are no row of the ``columns``.
        """
        if not words:
            raise ValueError("the sequence is empty; give at least one word")
        if len(words) > self.room:
            raise ValueError(f"the sequence has {len(words)} words; there is room for {self.room}")
        words = [self.spelt(word) for word in words]
        for i, word in enumerate(words, 1):
            if word not in self.codes and self.unknown is None:
                near = did_you_mean(word, list(self.tokens))
                raise ValueError(f"word {i} is {word!r}, which is not in the vocabulary{near}")
            if word in (*self.before, *self.after) and self.unknown is None:
                raise ValueError(f"word {i} is {word!r}, which is put around every sequence and is no word of one")
        if self.columns and [word.partition("=")[0] for word in words] != list(self.columns):
            raise ValueError(f"{' '.join(words)!r} is no row; expected a word for each of {', '.join(self.columns)}")
        spare = self.codes.get(self.unknown or "", NOTHING)
        return [self.codes.get(word, spare) for word in (*self.before, *words, *self.after)]

    def pad(self, sequences: Iterable[Sequence[int]]) -> Tensor:
        """Sequences of codes as ``(b, length)`` int64, padded with ``NOTHING``."""
        rows = [[*codes, *[NOTHING] * (self.length - len(codes))] for codes in sequences]
        return torch.tensor(rows, dtype=torch.int64).reshape(-1, self.length)

    def check(self, codes: Tensor) -> None:
        """Refuse codes ``(b, length)`` that are no sequences.

        Raises:
            ValueError: if the shape is wrong, a sequence is empty, broken by padding, or has an unknown code.
        """
        if codes.ndim != 2 or codes.shape[1] != self.length:
            raise ValueError(f"sequences are {tuple(codes.shape)}; expected (b, {self.length}), padded with {NOTHING}")
        if not codes.numel():
            return
        real = codes != NOTHING
        if bool((~real[:, 0]).any()):
            raise ValueError(f"sequence {int((~real[:, 0]).nonzero()[0, 0])} is empty; give at least one word")
        if bool((real[:, 1:] & ~real[:, :-1]).any()):
            raise ValueError("a sequence goes on after padding; pad at the end alone")
        if int(codes.min()) < NOTHING or int(codes.max()) >= len(self.tokens):
            found = f"{int(codes.min())} to {int(codes.max())}"
            raise ValueError(f"codes are {found}; expected 0 to {len(self.tokens) - 1}")

    def to_config(self) -> dict[str, Any]:
        """As plain values, for YAML."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Frame:
        """From plain values.

        Raises:
            ValueError: if a key is missing or not known.
        """
        try:
            return cls(**{k: tuple(map(str, v)) if isinstance(v, list | tuple) else v for k, v in config.items()})
        except TypeError as error:
            raise ValueError(
                f"a sequence is described by tokens, length, before, after, unknown, lower, digits, columns: {error}"
            ) from error
