"""Text to tokens and back: characters, or byte pairs learnt from the text itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np


class Tokens(Protocol):
    """How a text becomes tokens. ``names`` holds the text of each token."""

    names: tuple[str, ...]

    def encode(self, text: str, where: str) -> np.ndarray:
        """Tokens of a text; ``where`` says in an error where it is from."""
        ...


class Characters:
    """A token for each character.

    Args:
        letters: the vocabulary, each character once.

    Raises:
        ValueError: if there is none, or one twice.
    """

    def __init__(self, letters: str) -> None:
        if not letters or len(set(letters)) < len(letters):
            raise ValueError(f"the vocabulary {letters[:40]!r} is empty or holds a character twice")
        self.names = tuple(letters)
        points = np.array([ord(letter) for letter in letters])
        self._table = np.full(points.max() + 2, -1, np.int32)
        self._table[points] = np.arange(len(points))

    @staticmethod
    def learn(texts: Iterable[str]) -> str:
        """All characters that occur, in order of their code points."""
        found: set[str] = set()
        for text in texts:
            found |= set(text)
        return "".join(sorted(found))

    def encode(self, text: str, where: str) -> np.ndarray:
        """Tokens of a text.

        Raises:
            ValueError: naming the first character that is not in the vocabulary, and its place.
        """
        points = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.int64)
        ids = self._table[np.minimum(points, len(self._table) - 1)]
        if (ids < 0).any():
            place = int((ids < 0).argmax())
            raise ValueError(
                f"{where}: character {text[place]!r} (place {place + 1}) is not in the vocabulary of"
                f" {len(self.names)} characters"
            )
        return ids.astype(np.uint16 if len(self.names) <= 1 << 16 else np.uint32)


class BytePairs:
    """Byte pairs merged as learnt, by the ``tokenizers`` package; any text can be written in them.

    Args:
        merges: pairs as two pieces with a space between, in the order in which they were learnt.

    Raises:
        ValueError: if the package is not installed, or a merge is no pair of known pieces.
    """

    def __init__(self, merges: Sequence[str]) -> None:
        tokenizers = _package()
        bytes_ = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
        pairs = [tuple(merge.split(" ")) for merge in merges]
        vocabulary = {piece: i for i, piece in enumerate(bytes_)}
        for i, pair in enumerate(pairs, 1):
            if len(pair) != 2 or any(piece not in vocabulary for piece in pair):
                raise ValueError(f"merge {i} is {merges[i - 1]!r}; expected two pieces that are known by then")
            vocabulary.setdefault("".join(pair), len(vocabulary))
        self._of = _byte_level(tokenizers, tokenizers.models.BPE(vocab=vocabulary, merges=pairs))
        by_id = sorted(vocabulary, key=vocabulary.__getitem__)
        back = tokenizers.decoders.ByteLevel()
        self.names = tuple(_text(back, piece) for piece in by_id)

    @staticmethod
    def learn(texts: Iterable[str], size: int) -> list[str]:
        """Merges for a vocabulary of at most ``size`` tokens, 256 of them single bytes."""
        import json

        tokenizers = _package()
        of = _byte_level(tokenizers, tokenizers.models.BPE())
        alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=size, initial_alphabet=alphabet, show_progress=False, special_tokens=[]
        )
        of.train_from_iterator(texts, trainer)
        merges = json.loads(of.to_str())["model"]["merges"]
        return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]

    def encode(self, text: str, where: str) -> np.ndarray:
        """Tokens of a text."""
        return np.array(self._of.encode(text).ids, np.uint16 if len(self.names) <= 1 << 16 else np.uint32)


def _package():
    try:
        import tokenizers
    except ImportError as error:
        raise ValueError("byte pairs need the package tokenizers: pip install 'zoo-interpretable[text]'") from error
    return tokenizers


def _byte_level(tokenizers, model):
    of = tokenizers.Tokenizer(model)
    of.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    of.decoder = tokenizers.decoders.ByteLevel()
    return of


def _text(back, piece: str) -> str:
    """The text of a piece; of one that is no whole character, its bytes."""
    text = back.decode([piece])
    return text if "\ufffd" not in text else f"<{piece}>"
