"""Tokenizers: characters, or byte pairs learned from the text itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np


class Tokenizer(Protocol):
    """Turns text into tokens; ``names`` holds the text of each token."""

    names: tuple[str, ...]

    def encode(self, text: str, where: str) -> np.ndarray:
        """Return the tokens ``(n,)`` of a text; ``where`` names its origin in error messages."""
        ...


class Characters:
    """One token for each character.

    Args:
        letters: the vocabulary, each character once.

    Raises:
        ValueError: if the vocabulary is empty or has a character twice.

    Example:
        >>> Characters("abc").encode("cab", "the example").tolist()
        [2, 0, 1]
    """

    def __init__(self, letters: str) -> None:
        if not letters or len(set(letters)) < len(letters):
            raise ValueError(f"the vocabulary {letters[:40]!r} is empty or has a character twice")
        self.names = tuple(letters)
        points = np.array([ord(letter) for letter in letters])
        self._table = np.full(points.max() + 2, -1, np.int32)
        self._table[points] = np.arange(len(points))

    @staticmethod
    def learn(texts: Iterable[str]) -> str:
        """Return all characters that occur, in order of code points."""
        letters: set[str] = set()
        for text in texts:
            letters |= set(text)
        return "".join(sorted(letters))

    def encode(self, text: str, where: str) -> np.ndarray:
        """Return the tokens of a text as ``(n,)`` unsigned integers.

        Raises:
            ValueError: if a character is not in the vocabulary; the first one is named, with its place.
        """
        points = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.int64)
        ids = self._table[np.minimum(points, len(self._table) - 1)]
        if (ids < 0).any():
            place = int((ids < 0).argmax())
            raise ValueError(
                f"{where}: character {text[place]!r} (place {place + 1}) is not in the vocabulary of"
                f" {len(self.names)} characters"
            )
        return ids.astype(token_dtype(len(self.names)))


class BytePairs:
    """Byte pair encoding by the ``tokenizers`` package; it can encode any text.

    Args:
        merges: pairs of pieces separated by a space, in the order in which they were learned.

    Raises:
        ValueError: if the package is not installed, or a merge is not a pair of known pieces.
    """

    def __init__(self, merges: Sequence[str]) -> None:
        tokenizers = _package()
        bytes_ = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
        pairs = [tuple(merge.split(" ")) for merge in merges]
        vocabulary = {piece: i for i, piece in enumerate(bytes_)}
        for i, pair in enumerate(pairs, 1):
            if len(pair) != 2 or any(piece not in vocabulary for piece in pair):
                raise ValueError(
                    f"merge {i} is {merges[i - 1]!r}; expected two pieces that are single bytes or earlier merges"
                )
            vocabulary.setdefault("".join(pair), len(vocabulary))
        self._tokenizer = _byte_level(tokenizers, tokenizers.models.BPE(vocab=vocabulary, merges=pairs))
        by_id = sorted(vocabulary, key=vocabulary.__getitem__)
        decoder = tokenizers.decoders.ByteLevel()
        self.names = tuple(_text(decoder, piece) for piece in by_id)

    @staticmethod
    def learn(texts: Iterable[str], size: int) -> list[str]:
        """Return merges for a vocabulary of at most ``size`` tokens, 256 of which are single bytes."""
        import json

        tokenizers = _package()
        tokenizer = _byte_level(tokenizers, tokenizers.models.BPE())
        alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=size, initial_alphabet=alphabet, show_progress=False, special_tokens=[]
        )
        tokenizer.train_from_iterator(texts, trainer)
        merges = json.loads(tokenizer.to_str())["model"]["merges"]
        return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]

    def encode(self, text: str, where: str) -> np.ndarray:
        """Return the tokens of a text as ``(n,)`` unsigned integers."""
        return np.array(self._tokenizer.encode(text).ids, token_dtype(len(self.names)))


def token_dtype(size: int) -> type[np.unsignedinteger]:
    """Return the smallest unsigned type that holds ``size`` tokens, uint16 or uint32."""
    return np.uint16 if size <= 1 << 16 else np.uint32


def _package() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise ValueError("byte pairs need the package tokenizers: pip install 'zoo-interpretable[text]'") from error
    return tokenizers


def _byte_level(tokenizers: Any, model: Any) -> Any:
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    return tokenizer


def _text(decoder: Any, piece: str) -> str:
    """Return the text of a piece, or the piece in angle brackets if it is not a complete character."""
    text = decoder.decode([piece])
    return text if "\ufffd" not in text else f"<{piece}>"
