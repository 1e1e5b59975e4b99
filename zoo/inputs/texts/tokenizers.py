"""Text to token codes and back: words, characters or symbols. Their vocabulary is fixed when they are made."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from zoo.paths import did_you_mean

SPACE = re.compile(r"[ \t\r\n\f\v]+")
PIECE = 1 << 20  # characters encoded at a time
PADDING = -1  # the code behind the end of a sequence


def split_words(text: str) -> list[str]:
    """Return the words between spaces, tabs and line ends; a no-break space or another separator is part of a word.

    >>> split_words("a good  film")
    ['a', 'good', 'film']
    """
    return [word for word in SPACE.split(text) if word]


class Tokenizer(ABC):
    """Turns a text into codes of tokens.

    A subclass sets ``name`` and is then found by it in ``inputs.yaml``.

    Attributes:
        names: the text of each token.
    """

    name: ClassVar[str] = ""
    kinds: ClassVar[dict[str, type[Tokenizer]]] = {}
    names: tuple[str, ...]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.name:
            Tokenizer.kinds[cls.name] = cls

    @abstractmethod
    def encode(self, text: str, where: str = "the text") -> np.ndarray:
        """Return the codes ``(t,)`` of a text; ``where`` it is from is named in errors."""

    @abstractmethod
    def decode(self, codes: Iterable[int]) -> str:
        """Return the text of codes; padding is left out."""

    @abstractmethod
    def to_config(self) -> dict[str, Any]:
        """Return the arguments of the class."""


class Words(Tokenizer):
    """A token for each word between spaces, see ``split_words``.

    Args:
        words: the vocabulary, each word once.
        unknown: the word that stands for those outside the vocabulary; None to refuse them.
        lower: whether words are read in lower case.

    Raises:
        ValueError: if the vocabulary is empty or holds a word twice, or ``unknown`` is not in it.

    >>> Words(["a", "b", "?"], unknown="?").encode("b a c").tolist()
    [1, 0, 2]
    """

    name = "words"

    def __init__(self, words: Sequence[str], *, unknown: str | None = None, lower: bool = False) -> None:
        self.names, self.unknown, self.lower = tuple(map(str, words)), unknown, lower
        self._codes = {word: code for code, word in enumerate(self.names)}
        if not self.names or len(self._codes) < len(self.names):
            raise ValueError(f"the vocabulary has {len(self.names)} words, {len(self._codes)} different ones")
        if unknown is not None and unknown not in self._codes:
            raise ValueError(f"{unknown!r} is not in the vocabulary{did_you_mean(unknown, list(self.names))}")

    def encode(self, text: str, where: str = "the text") -> np.ndarray:
        """Return the codes ``(t,)`` int64 of the words.

        Raises:
            ValueError: naming the first word outside the vocabulary.
        """
        words = split_words(text.lower() if self.lower else text)
        spare = PADDING if self.unknown is None else self._codes[self.unknown]
        codes = np.array([self._codes.get(word, spare) for word in words], np.int64)
        if self.unknown is None and (codes < 0).any():
            i = int((codes < 0).argmax())
            near = did_you_mean(words[i], list(self.names))
            raise ValueError(f"{where}: word {i + 1} is {words[i]!r}, which is not in the vocabulary{near}")
        return codes

    def decode(self, codes: Iterable[int]) -> str:
        """Return the words with spaces between them."""
        return " ".join(self.names[code] for code in codes if code != PADDING)

    def to_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"words": list(self.names), "unknown": self.unknown, "lower": self.lower}


class Characters(Tokenizer):
    """A token for each character.

    Args:
        letters: the vocabulary, each character once.

    Raises:
        ValueError: if it is empty or has a character twice.

    >>> Characters("ab").encode("ba").tolist()
    [1, 0]
    """

    name = "characters"

    def __init__(self, letters: str) -> None:
        if not letters or len(set(letters)) < len(letters):
            raise ValueError(f"the vocabulary {letters[:40]!r} is empty or has a character twice")
        self.letters, self.names = letters, tuple(letters)
        points = np.array([ord(letter) for letter in letters])
        self._table = np.full(points.max() + 2, -1, np.int64)
        self._table[points] = np.arange(len(points))

    @staticmethod
    def learn(texts: Iterable[str]) -> str:
        """Return all characters of some texts in the order of their code points."""
        letters: set[str] = set()
        for text in texts:
            letters |= set(text)
        return "".join(sorted(letters))

    def encode(self, text: str, where: str = "the text") -> np.ndarray:
        """Return the codes ``(t,)`` int64 of the characters.

        Raises:
            ValueError: naming the first character outside the vocabulary, and its place.
        """
        out = np.empty(len(text), np.int64)
        for start in range(0, len(text), PIECE):
            piece = text[start : start + PIECE]
            points = np.frombuffer(piece.encode("utf-32-le", "surrogatepass"), np.uint32)
            codes = self._table[np.minimum(points, len(self._table) - 1)]
            if (codes < 0).any():
                i = int((codes < 0).argmax())
                raise ValueError(
                    f"{where}: character {piece[i]!r} (place {start + i + 1}) is not in the vocabulary of"
                    f" {len(self.names)} characters"
                )
            out[start : start + len(piece)] = codes
        return out

    def decode(self, codes: Iterable[int]) -> str:
        """Return the text."""
        return "".join(self.names[code] for code in codes if code != PADDING)

    def to_config(self) -> dict[str, Any]:
        """Return the arguments; code points, since some characters cannot be written in YAML."""
        return {"points": [ord(letter) for letter in self.letters]}

    @classmethod
    def from_points(cls, points: Sequence[int]) -> Characters:
        """Return the tokenizer of some code points."""
        return cls("".join(map(chr, points)))


class Symbols(Tokenizer):
    """A token for each character of a fixed alphabet; other tokens may have longer names and are never in a text.

    Args:
        names: the vocabulary, each name once.
        ignored: characters that stand for nothing, such as spaces between digits.

    Raises:
        ValueError: if it is empty or has a name twice.

    >>> Symbols(["0", "1", "<begin>"], ignored=" ").encode("1 0").tolist()
    [1, 0]
    """

    name = "symbols"

    def __init__(self, names: Sequence[str], *, ignored: str = "") -> None:
        self.names = tuple(map(str, names))
        self.ignored = ignored
        self._codes = {name: code for code, name in enumerate(self.names)}
        if not self.names or len(self._codes) < len(self.names):
            raise ValueError(f"the vocabulary has {len(self.names)} names, {len(self._codes)} different ones")

    def encode(self, text: str, where: str = "the text") -> np.ndarray:
        """Return the codes ``(t,)`` int64 of the characters.

        Raises:
            ValueError: naming the first character outside the vocabulary, and its place.
        """
        for i, letter in enumerate(text, 1):
            if letter not in self._codes and letter not in self.ignored:
                raise ValueError(
                    f"{where}: {letter!r} (place {i}) is not in the vocabulary of {len(self.names)} tokens"
                )
        return np.array([self._codes[letter] for letter in text if letter not in self.ignored], np.int64)

    def decode(self, codes: Iterable[int]) -> str:
        """Return the text."""
        return "".join(self.names[code] for code in codes if code != PADDING)

    def to_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"names": list(self.names), "ignored": self.ignored}


def token_dtype(size: int) -> type[np.unsignedinteger]:
    """Return the smallest unsigned type for the codes of ``size`` tokens, uint16 or uint32."""
    return np.uint16 if size <= 1 << 16 else np.uint32
