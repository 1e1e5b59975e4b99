"""The base class of changes of texts as they were written, and where their tokens go."""

from __future__ import annotations

import unicodedata
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.metrics.perturbations._text_edits import Edit, edited, moved_offset
from zoo.metrics.perturbations.noise import Change, random_bits

STREAM = 7 << 32  # draw numbers of texts, apart from those of other perturbations
NUMBERS = 64  # random numbers for each text


class TextReader(Protocol):
    """What scores of texts need of the inputs of a model of sentences (``zoo.inputs.sentences.SentenceInputs``)."""

    def known_texts(self, x: Tensor) -> list[str | None]:
        """Return inputs ``(b, t)`` as they were written, None for a text that these inputs have not read."""
        ...

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, list[int]]:
        """Return the codes ``(n, t)`` of texts, and the number of tokens of each before it was cut."""
        ...

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the characters of each token of a text; equal ends for a token that is not in the text."""
        ...

    def special_codes(self) -> Tensor:
        """Return which codes ``(v,)`` stand around texts and are in none, bool."""
        ...

    def words(self, text: str) -> list[tuple[int, int]]:
        """Return the characters of each word and punctuation mark of a text."""
        ...


def text_reader(model: Any) -> TextReader | None:
    """Return the inputs of a model of sentences; None for any other model."""
    inputs = getattr(model, "inputs", None)
    return inputs if inputs is not None and inputs.kind == "sentences" else None


class Word(NamedTuple):
    """A word or a punctuation mark of a text: its characters, and where they begin."""

    text: str
    start: int

    @property
    def end(self) -> int:
        """Where the characters end."""
        return self.start + len(self.text)


@dataclass(frozen=True)
class TextChange(Change):
    """A change of texts as they were written, as a pure function of (text, sample id, draw).

    A subclass returns edits of the characters. A text that nothing would be left of, or that has nothing to change,
    stays as it is. The separator of a pair is never changed.
    """

    takes: ClassVar[str] = "texts"
    moves: ClassVar[bool] = True

    def unread_by(self, model: Any) -> str:
        """Return why it cannot change the inputs of a model; empty if it can."""
        return "" if text_reader(model) is not None else f"{self._name} changes texts, and the model reads none"

    @property
    def _name(self) -> str:
        return type(self).__name__.lower()

    @abstractmethod
    def edits(self, text: str, words: Sequence[Word], numbers: Sequence[int]) -> list[Edit]:
        """Return the edits of a text, in the order of its characters and without overlap.

        Args:
            text: as it was written.
            words: its words and punctuation marks, without the separator of a pair.
            numbers: ``NUMBERS`` random whole numbers from 0.
        """

    def _edits(self, texts: Sequence[str | None], ids: Tensor, draw: int, reader: TextReader) -> list[list[Edit]]:
        numbers = (random_bits(ids.cpu(), draw=draw + STREAM, count=NUMBERS) & (2**62 - 1)).tolist()
        out = []
        for i, (text, row) in enumerate(zip(texts, numbers, strict=True)):
            if text is None:
                raise ValueError(
                    f"the text of input {i} as it was written is not known, so {self._name} cannot change it; read it"
                    " with the inputs of the model: data.use_inputs(model.inputs)"
                )
            words = [Word(text[start:end], start) for start, end in reader.words(text)]
            edits = [edit for edit in self.edits(text, words, row) if not unicodedata.combining((text + " ")[edit.end])]
            out.append(edits if edited(text, edits).strip() else [])
        return out

    def texts(self, texts: Sequence[str | None], ids: Tensor, draw: int, reader: TextReader) -> list[str]:
        """Return the changed texts of samples ``ids`` ``(b,)``.

        Raises:
            ValueError: if a text is None, since it is not known as it was written.
        """
        edits = self._edits(texts, ids, draw, reader)
        return [_composed(text or "", some) for text, some in zip(texts, edits, strict=True)]

    def __call__(self, batch: Batch, draw: int, model: Any = None) -> Batch:
        """The same samples with their texts changed, as the inputs of ``model`` read them.

        Raises:
            ValueError: if the model reads no sentences, or a text as it was written is not known.
        """
        reader = text_reader(model)
        if reader is None:
            raise ValueError(f"{self._name} changes texts as they were written; expected the model of sentences")
        changed = self.texts(reader.known_texts(batch.x), batch.index, draw, reader)
        return replace(batch, x=reader.encode(changed)[0].to(batch.x.device))

    def token_places(self, points: Tensor, batch: Batch, draw: int, model: Any) -> Tensor:
        """Return where tokens ``(b, n)`` of a batch are in its changed texts; at the nearest token if they are gone."""
        reader = text_reader(model)
        assert reader is not None
        known = reader.known_texts(batch.x)
        all_edits = self._edits(known, batch.index, draw, reader)
        out = points.clone()
        for row, text, edits in zip(out, known, all_edits, strict=True):
            assert text is not None
            old = reader.spans(text)
            new = reader.spans(_composed(text, edits))
            row.copy_(torch.tensor([_place(int(i), old, new, edits) for i in row.tolist()]))
        return out


def _composed(text: str, edits: Sequence[Edit]) -> str:
    return unicodedata.normalize("NFC", edited(text, edits))


def _place(i: int, old: list[tuple[int, int]], new: list[tuple[int, int]], edits: Sequence[Edit]) -> int:
    """Return the token of a changed text at the place of token i; of one around the text, its counterpart."""
    if not 0 <= i < len(old):
        return i
    start, end = old[i]
    if start == end:
        before = not any(stop > begin for begin, stop in old[:i])
        return i if before else max(0, i + len(new) - len(old))
    at = moved_offset(start, edits)
    real = [j for j, (begin, stop) in enumerate(new) if stop > begin]
    return min(real, key=lambda j: max(new[j][0] - at, at - new[j][1] + 1, 0), default=i)
