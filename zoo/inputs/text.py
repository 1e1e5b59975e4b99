"""Raw texts as inputs: a tokenizer or an encoder that is named by its hash, truncation, and class names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.inputs.base import Flag, Inputs, Reading
from zoo.inputs.labels import class_names_of, compare_names, label_key
from zoo.inputs.texts.text_files import Texts, read_texts
from zoo.inputs.texts.tokenizer_config import tokenizer_from
from zoo.inputs.texts.tokenizers import PADDING, Tokenizer, Words, split_words
from zoo.paths import did_you_mean


class TextInputs(Inputs):
    """Texts as rows of token codes ``(n, length)`` int64, padded with -1 behind their end.

    Args:
        tokenizer: how a text becomes tokens.
        length: tokens of a text at most; what is longer is cut and flagged.
        class_names: names of the classes; None where the class is the next token: then the names are those of the
            tokens, and a text that is too long is refused.
        before: names of tokens at the start of every text.
        text: column of the text in tables; None for a usual name.
        label: column of the label in tables; None for a usual name.
        encoder: id and sha256 of a text encoder whose tokens these are; it is resolved by the model and never fetched.

    Raises:
        ValueError: if an argument is out of range.

    >>> inputs = TextInputs(Words(["a", "good", "film", "?"], unknown="?"), 4, class_names=("bad", "good"))
    >>> inputs.read("a good play").x.tolist()
    [[0, 1, 3, -1]]
    """

    kind = "text"

    def __init__(
        self,
        tokenizer: Tokenizer,
        length: int,
        *,
        class_names: Sequence[str] | None = (),
        before: Sequence[str] = (),
        text: str | None = None,
        label: str | None = None,
        encoder: Mapping[str, str] | None = None,
    ) -> None:
        if length < 1:
            raise ValueError(f"data.length is {length}; expected 1 or more")
        if encoder is not None and set(encoder) != {"id", "sha256"}:
            raise ValueError(f"data.encoder has {', '.join(map(str, encoder))}; expected id and sha256")
        if unknown := [name for name in before if name not in tokenizer.names]:
            near = did_you_mean(unknown[0], list(tokenizer.names))
            raise ValueError(f"{unknown[0]!r} is not in the vocabulary{near}")
        self.tokenizer = tokenizer
        self.length = int(length)
        self.next_token = class_names is None
        self.class_names = tokenizer.names if class_names is None else tuple(class_names)
        self.before = tuple(before)
        self._start = [tokenizer.names.index(name) for name in before]
        self.text, self.label, self.encoder = text, label, None if encoder is None else dict(encoder)

    @classmethod
    def fit(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls,
        train: Any,
        *,
        length: int,
        max_words: int = 20_000,
        min_count: int = 1,
        lower: bool = True,
        text: str | None = None,
        label: str | None = None,
    ) -> TextInputs:
        """Fit a vocabulary of words and the class names on the training split.

        Args:
            train: anything that ``read_texts`` reads.
            length: tokens of a text at most.
            max_words: size of the vocabulary at most; the most frequent words are kept.
            min_count: times that a word must occur.
            lower: whether words are read in lower case.
            text: column of the text.
            label: column of the label.

        Raises:
            ValueError: if the texts cannot be read, or a label is missing.
        """
        count: dict[str, int] = {}
        labels: dict[str, int] = {}
        for piece in read_texts(train, text=text, label=label):
            for content in piece.texts:
                for word in split_words(content.lower() if lower else content):
                    count[word] = count.get(word, 0) + 1
            for name, value in zip(piece.rows, piece.labels or (), strict=False):
                if not value:
                    raise ValueError(f"{piece.source}, {name}: the label is missing")
                labels[value] = labels.get(value, 0) + 1
        unknown = "[UNK]"
        words = sorted((w for w in count if count[w] >= min_count and w != unknown), key=lambda w: (-count[w], w))
        tokenizer = Words([unknown, *words[: max_words - 1]], unknown=unknown, lower=lower)
        class_names, _ = class_names_of(sorted(labels, key=lambda value: -labels[value]))
        return cls(tokenizer, length, class_names=class_names, text=text, label=label)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(length,)``."""
        return (self.length,)

    def scan(
        self, raw: Any, *, labels: bool | None = None, strict: bool = False, skip: bool = False
    ) -> Iterator[Reading]:
        """Read texts piece by piece.

        Args:
            raw: see ``read_texts``.
            labels: True to require labels, False to ignore them, None to read them where there are some.
            strict: whether a text that is cut is an error.
            skip: whether texts that cannot be read are skipped and listed instead of being an error.

        Raises:
            ValueError: if a file cannot be read, or a text is empty or outside the vocabulary.
        """
        start = 0
        for piece in read_texts(raw, text=self.text, label=self.label if labels is not False else None, skip=skip):
            yield self._reading(piece, start, labels=labels, strict=strict, skip=skip)
            start += len(piece.texts)

    def _reading(self, piece: Texts, start: int, *, labels: bool | None, strict: bool, skip: bool) -> Reading:
        x = torch.full((len(piece.texts), self.length), PADDING, dtype=torch.int64)
        flags: list[Flag] = []
        skipped = list(piece.skipped)
        kept: list[int] = []
        for i, (text, name) in enumerate(zip(piece.texts, piece.rows, strict=True)):
            where = f"{piece.source}, {name}"
            try:
                codes = self.tokenizer.encode(text, where)
                if not len(codes):
                    raise ValueError(f"{where}: the text is empty; give at least one word")
                codes = np.concatenate([np.array(self._start, np.int64), codes])
                if self.next_token and len(codes) > self.length:
                    most = self.length
                    raise ValueError(f"{where}: the text has {len(codes)} tokens; the model reads {most} at most")
            except ValueError as error:
                if not skip:
                    raise
                skipped.append(Flag(name, "", str(error)))
                continue
            if len(codes) > self.length:
                flag = Flag(name, "", f"the text has {len(codes)} tokens and was cut to {self.length}")
                if strict:
                    raise ValueError(f"{piece.source}, {flag}")
                flags.append(flag)
            x[i, : min(len(codes), self.length)] = torch.from_numpy(codes[: self.length])
            kept.append(i)
        y = self._labels(piece, kept, labels)
        rows = tuple(piece.rows[i] for i in kept)
        return Reading(
            x[kept], rows, y, tuple(flags), tuple(skipped), (), torch.tensor(kept, dtype=torch.int64) + start
        )

    def _labels(self, piece: Texts, kept: Sequence[int], labels: bool | None) -> Tensor | None:
        if self.next_token and labels:
            raise ValueError("the class is the next token; evaluate on a source of text, such as data.file=...")
        if piece.labels is None or labels is False or self.next_token:
            if labels:
                raise ValueError(f"{piece.source} has no column of labels; name it in data.label")
            return None
        given = [piece.labels[i] for i in kept]
        for i, label in zip(kept, given, strict=True):
            if not label:
                raise ValueError(f"{piece.source}, {piece.rows[i]}: the label is missing")
        try:
            compare_names(self.class_names, sorted({str(label) for label in given}), "classes", partial=True)
        except ValueError as error:
            raise ValueError(f"{piece.source}: {error}") from error
        place = {label_key(name): i for i, name in enumerate(self.class_names)}
        return torch.tensor([place[label_key(str(label))] for label in given], dtype=torch.int64)

    def check(self, other: Any) -> None:
        """Refuse texts whose labels are not the model's classes, other names of classes, or other tokens.

        Args:
            other: texts, a tuple of names of classes, or a tokenizer.

        Raises:
            ValueError: listing names that are missing, additional or renamed.
        """
        if isinstance(other, Tokenizer):
            compare_names(self.tokenizer.names, other.names, "tokens", exact=True)
            if self.tokenizer.names != other.names:
                raise ValueError("the tokens are not in the order of the model's; read the data with its tokenizer")
            return
        if isinstance(other, tuple):
            compare_names(self.class_names, other, "classes", partial=True)
            return
        for piece in read_texts(other, text=self.text, label=self.label):
            self._labels(piece, range(len(piece.texts)), None)

    def show(self, x: Tensor) -> list[list[str]]:
        """Return for each of the inputs ``(b, length)`` the texts of its tokens."""
        return [[self.tokenizer.names[code] for code in row if code != PADDING] for row in x.long().tolist()]

    def describe(self) -> list[str]:
        """Return the preprocessing in words."""
        lines = [f"texts are {len(self.tokenizer.names)} different {self.tokenizer.name}, at most {self.length} each"]
        if self.encoder:
            lines.append(f"the text encoder is {self.encoder['id']} (sha256 {self.encoder['sha256'][:12]})")
        return lines

    def to_config(self) -> dict[str, Any]:
        """Return plain values for YAML."""
        return {
            "tokenizer": {"name": self.tokenizer.name, **self.tokenizer.to_config()},
            "length": self.length,
            "class_names": None if self.next_token else list(self.class_names),
            "before": list(self.before),
            "text": self.text,
            "label": self.label,
            "encoder": self.encoder,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TextInputs:
        """Return the inputs from plain values.

        Raises:
            ValueError: if a key or a value is not understood.
        """
        config = dict(config)
        tokenizer, length = tokenizer_from(config.pop("tokenizer")), config.pop("length")
        return cls(tokenizer, length, **config)
