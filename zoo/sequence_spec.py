"""Format of token sequences, and annotations of their positions; part of data and checkpoints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from zoo.paths import did_you_mean

NOTHING = -1  # code of padding


@dataclass(frozen=True)
class Family:
    """Questions of one kind about positions of sequences, such as the piece on each square of a board.

    A property is a question with one of its answers: "there is a white pawn on e4".

    Attributes:
        name: of the family.
        codes: ``(n, t, s)`` integer answer to each of s questions at each position; -1 for none.
        questions: s names.
        answers: names of the answers.
        blank: the answer that means empty; None if there is none.
        initial: ``(s,)`` answers before the first token; None if there are none.

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
        """``(s, k)`` bool, answers that are neither blank nor the initial one."""
        informative = torch.ones(len(self.questions), len(self.answers), dtype=torch.bool)
        if self.blank is not None:
            informative[:, self.blank] = False
        if self.initial is not None:
            known = self.initial.cpu() >= 0
            informative[known.nonzero()[:, 0], self.initial.cpu().long()[known]] = False
        return informative


@dataclass(frozen=True)
class Properties:
    """Annotations of the positions of n sequences.

    Attributes:
        x: ``(n, t)`` contexts, -1 after their end.
        look: ``(n, t)`` bool, the positions at which units are evaluated.
        families: the annotations.

    Raises:
        ValueError: if the fields do not fit together.
    """

    x: Tensor
    look: Tensor
    families: tuple[Family, ...]

    def __post_init__(self) -> None:
        if self.look.shape != self.x.shape or self.look.dtype != torch.bool:
            raise ValueError(f"look is {tuple(self.look.shape)} {self.look.dtype}; expected bool {tuple(self.x.shape)}")
        for family in self.families:
            if family.codes.shape[:2] != self.x.shape:
                actual = tuple(family.codes.shape[:2])
                raise ValueError(f"codes of {family.name} are of {actual} positions; expected {tuple(self.x.shape)}")


@dataclass(frozen=True)
class Frame:
    """Format of token sequences.

    Attributes:
        tokens: the vocabulary.
        length: largest number of positions, ``before`` and ``after`` included.
        before: tokens added at the start of a sequence.
        after: tokens added at its end.
        unknown: the token for words outside the vocabulary; None to refuse them.
        lower: convert words to lower case.
        digits: text that replaces every run of digits in a word; None to keep digits.
        columns: of rows of a table, whose words are ``column=value``, one for each column and in this order.

    Raises:
        ValueError: if a token is repeated, not in the vocabulary or of no column, or there is no room for a word.

    Example:
        >>> frame = Frame(("<s>", "a", "b"), length=4, before=("<s>",))
        >>> frame.encode(["a", "b"]), frame.pad([frame.encode(["b"])]).tolist()
        ([0, 1, 2], [[0, 2, -1, -1]])
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
            raise ValueError(f"digits is {self.digits!r}; expected a text without digits and backslashes")
        if len(set(self.tokens)) < len(self.tokens) or not self.tokens:
            raise ValueError(
                f"{len(self.tokens)} tokens have {len(set(self.tokens))} distinct ones; expected all distinct"
            )
        for token in (*self.before, *self.after, *([self.unknown] if self.unknown is not None else [])):
            if token not in self.tokens:
                raise ValueError(f"{token!r} is not in the vocabulary{did_you_mean(token, list(self.tokens))}")
        names = {token.partition("=")[0] for token in self.tokens}
        if self.columns and (len(self.columns) != self.length or names != set(self.columns)):
            raise ValueError(f"{len(self.columns)} columns, {self.length} words in a row; expected tokens column=value")
        if self.room < 1:
            raise ValueError(f"length is {self.length}; expected room for a word beside {self.before + self.after}")

    @property
    def room(self) -> int:
        """Largest number of words."""
        return self.length - len(self.before) - len(self.after)

    @cached_property
    def codes(self) -> dict[str, int]:
        """Code of each token."""
        return {token: code for code, token in enumerate(self.tokens)}

    def spelt(self, word: str) -> str:
        """Return a word as it is looked up in the vocabulary: lower case and digits replaced, as configured."""
        word = word.lower() if self.lower else word
        return word if self.digits is None else re.sub(r"\d+", self.digits, word)

    def encode(self, words: Sequence[str]) -> list[int]:
        """Return the codes of words, with ``before`` and ``after`` around them.

        Raises:
            ValueError: if there are none, too many, one is unknown, or they are not a row of the ``columns``.
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
                raise ValueError(f"word {i} is {word!r}, which is added to every sequence; expected another word")
        if self.columns and [word.partition("=")[0] for word in words] != list(self.columns):
            raise ValueError(f"{' '.join(words)!r} is not a row; expected a word for each of {', '.join(self.columns)}")
        unknown = self.codes.get(self.unknown or "", NOTHING)
        return [self.codes.get(word, unknown) for word in (*self.before, *words, *self.after)]

    def pad(self, sequences: Iterable[Sequence[int]]) -> Tensor:
        """Return sequences of codes as ``(b, length)`` int64, padded with ``NOTHING``."""
        rows = [[*codes, *[NOTHING] * (self.length - len(codes))] for codes in sequences]
        return torch.tensor(rows, dtype=torch.int64).reshape(-1, self.length)

    def check(self, codes: Tensor) -> None:
        """Check codes ``(b, length)`` of sequences.

        Raises:
            ValueError: if the shape is wrong, a sequence is empty, broken by padding, or has an unknown code.
        """
        if codes.ndim != 2 or codes.shape[1] != self.length:
            raise ValueError(f"sequences are {tuple(codes.shape)}; expected (b, {self.length}), padded with {NOTHING}")
        if torch.compiler.is_exporting() or not codes.numel():  # a graph refuses nothing
            return
        real = codes != NOTHING
        if bool((~real[:, 0]).any()):
            raise ValueError(f"sequence {int((~real[:, 0]).nonzero()[0, 0])} is empty; give at least one word")
        if bool((real[:, 1:] & ~real[:, :-1]).any()):
            raise ValueError("a sequence continues after padding; expected padding at the end only")
        if int(codes.min()) < NOTHING or int(codes.max()) >= len(self.tokens):
            raise ValueError(
                f"codes are {int(codes.min())} to {int(codes.max())}; expected 0 to {len(self.tokens) - 1}"
            )

    def to_config(self) -> dict[str, Any]:
        """Return plain values, for YAML."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Frame:
        """Build from plain values.

        Raises:
            ValueError: if a key is missing or unknown.
        """
        values: dict[str, Any] = {
            k: tuple(map(str, v)) if isinstance(v, list | tuple) else v for k, v in config.items()
        }
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(
                f"a sequence is described by tokens, length, before, after, unknown, lower, digits, columns: {error}"
            ) from error
