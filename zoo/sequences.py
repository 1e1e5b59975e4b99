"""What sequences look like: vocabulary, length, the tokens around a user's words. Travels with data and checkpoint."""

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

    Raises:
        ValueError: if a token stands twice, is not in the vocabulary, or there is no room for a word.
    """

    tokens: tuple[str, ...]
    length: int
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    unknown: str | None = None
    lower: bool = False
    digits: str | None = None

    def __post_init__(self) -> None:
        if self.digits is not None and re.search(r"\d|\\", self.digits):
            raise ValueError(f"digits are read as {self.digits!r}; expected a text without digits and backslashes")
        if len(set(self.tokens)) < len(self.tokens) or not self.tokens:
            raise ValueError(f"a vocabulary of {len(self.tokens)} tokens has {len(set(self.tokens))} different ones")
        for token in (*self.before, *self.after, *([self.unknown] if self.unknown is not None else [])):
            if token not in self.tokens:
                raise ValueError(f"{token!r} is not in the vocabulary{did_you_mean(token, list(self.tokens))}")
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
            ValueError: if there are none, too many, or one is unknown.
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
                f"a sequence is described by tokens, length, before, after, unknown, lower, digits: {error}"
            ) from error
