"""Text to token codes and back by byte pairs, as the package ``tokenizers`` learns and merges them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from zoo.inputs.texts.tokenizers import PADDING, PIECE, Tokenizer

BETWEEN_WORDS = re.compile("(?<=[a-zA-Z])(?= [a-zA-Z])")


class BytePairs(Tokenizer):
    """Byte pairs merged as learned, by the ``tokenizers`` package; every text can be written in them.

    Args:
        merges: pairs as two pieces with a space between, in the order in which they were learned.

    Raises:
        ValueError: if the package is not installed, or a merge is no pair of known pieces.
    """

    name = "bytes"

    def __init__(self, merges: Sequence[str]) -> None:
        tokenizers = _package()
        pieces = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
        pairs = [tuple(merge.split(" ")) for merge in merges]
        vocabulary = {piece: i for i, piece in enumerate(pieces)}
        for i, pair in enumerate(pairs, 1):
            if len(pair) != 2 or any(piece not in vocabulary for piece in pair):
                raise ValueError(f"merge {i} is {merges[i - 1]!r}; expected two pieces that are known by then")
            vocabulary.setdefault("".join(pair), len(vocabulary))
        self.merges = list(merges)
        self._model = _byte_level(tokenizers, tokenizers.models.BPE(vocab=vocabulary, merges=pairs))
        self._decoder = tokenizers.decoders.ByteLevel()
        self._pieces = sorted(vocabulary, key=vocabulary.__getitem__)
        self.names = tuple(self._text(piece) for piece in self._pieces)

    @staticmethod
    def learn(texts: Iterable[str], size: int) -> list[str]:
        """Return merges for a vocabulary of at most ``size`` tokens, 256 of them single bytes."""
        tokenizers = _package()
        model = _byte_level(tokenizers, tokenizers.models.BPE())
        alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=size, initial_alphabet=alphabet, show_progress=False, special_tokens=[]
        )
        model.train_from_iterator(texts, trainer)
        return merges_of(model.to_str(), "the trained tokenizer")

    def encode(self, text: str, where: str = "the text") -> np.ndarray:
        """Return the codes ``(t,)`` int64 of a text."""
        pieces = [np.array(self._model.encode(piece).ids, np.int64) for piece in _between_words(text)]
        return np.concatenate(pieces) if len(pieces) > 1 else pieces[0]

    def decode(self, codes: Iterable[int]) -> str:
        """Return the text."""
        return self._decoder.decode([self._pieces[code] for code in codes if code != PADDING])

    def _text(self, piece: str) -> str:
        """The text of a piece; of one that is no whole character, its bytes."""
        text = self._decoder.decode([piece])
        return text if "\ufffd" not in text else f"<{piece}>"

    def to_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"merges": self.merges}

    def to_json(self) -> str:
        """Return the tokenizer in the format of the package ``tokenizers``."""
        return self._model.to_str(pretty=True)


def merges_of(text: str, where: str) -> list[str]:
    """Return the merges of a ``tokenizer.json``; nothing else in it is read.

    Raises:
        ValueError: if it has none.
    """
    try:
        merges = json.loads(text)["model"]["merges"]
        return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{where} has no list model.merges of byte pairs ({type(error).__name__})") from error


def _between_words(text: str, size: int = PIECE) -> Iterator[str]:
    """Yield a long text in pieces that end between two words, where no byte pairs are merged."""
    start = 0
    while len(text) - start > size and (cut := BETWEEN_WORDS.search(text, start + size)):
        yield text[start : cut.start()]
        start = cut.start()
    yield text[start:]


def _package() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise ValueError("byte pairs need the package tokenizers: pip install 'zoo-interpretable[text]'") from error
    return tokenizers


def _byte_level(tokenizers: Any, model: Any) -> Any:
    pipeline = tokenizers.Tokenizer(model)
    pipeline.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    pipeline.decoder = tokenizers.decoders.ByteLevel()
    return pipeline
