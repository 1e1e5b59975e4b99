"""Sequences of tokens as inputs: a vocabulary, a length, and what stands for words outside the vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.inputs.base import Flag, Inputs, Reading
from zoo.inputs.labels import compare_names
from zoo.inputs.number_intervals import word_of
from zoo.inputs.tables.cells import Cells, as_text, no_column
from zoo.inputs.tables.columns import MARKERS
from zoo.inputs.tables.table_reader import read_cells
from zoo.inputs.texts.text_files import read_texts
from zoo.inputs.texts.tokenizers import split_words
from zoo.sequence_spec import NOTHING, Frame

EMPTY = "?"  # the word of an empty cell


class TokenInputs(Inputs):
    """Sequences of words from a fixed vocabulary, such as traces of programs, games and rows of categories.

    Args:
        sequence: vocabulary, length, and the tokens around every sequence.
        class_names: names of the classes.
        whole: whether there is one question for a sequence; otherwise one for each of its words, and an input is
            ``(1 + length,)``: the position asked, counted from 0 at the first token, and then the codes.

    >>> inputs = TokenInputs(Frame(("a", "b", "[S]"), 4, before=("[S]",)), class_names=("no", "yes"))
    >>> inputs.read("b a").x.tolist()
    [[2, 1, 0, -1]]
    """

    kind = "tokens"

    def __init__(self, sequence: Frame, *, class_names: Sequence[str] = (), whole: bool = True) -> None:
        self.sequence, self.class_names, self.whole = sequence, tuple(class_names), whole

    @classmethod
    def fit(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls, train: Any, *, sequence: Frame, class_names: Sequence[str] = (), whole: bool = True
    ) -> TokenInputs:
        """Return the inputs of a source whose vocabulary is known."""
        return cls(sequence, class_names=class_names, whole=whole)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(length,)``, or ``(1 + length,)`` where a position is asked."""
        return (self.sequence.length + (not self.whole),)

    def scan(
        self, raw: Any, *, labels: bool | None = None, strict: bool = False, skip: bool = False
    ) -> Iterator[Reading]:
        """Read sequences piece by piece; ``position`` is the number of the sequence that a sample is about.

        Args:
            raw: words with spaces between them, a list of words, a list of such, or a path with one sequence on each
                line; where the words are cells of a table, any table.
            labels: must not be True: sequences have no labels of their own.
            strict: whether a word outside the vocabulary is an error even where one stands for all such words.
            skip: whether sequences that cannot be read are skipped and listed instead of being an error.

        Raises:
            ValueError: if a sequence is empty, too long or has an unknown word; it is named.
        """
        if labels:
            raise ValueError("sequences have no labels of their own; evaluate on a source of data")
        start = 0
        for names, sequences in self._sequences(raw, skip):
            codes: list[list[int]] = []
            rows: list[str] = []
            kept: list[int] = []
            flags: list[Flag] = []
            skipped: list[Flag] = []
            for i, (name, words) in enumerate(zip(names, sequences, strict=True)):
                try:
                    codes.append(self.sequence.encode(words))
                except ValueError as error:
                    if not skip:
                        raise ValueError(f"{name}: {error}") from error
                    skipped.append(Flag(name, "", str(error)))
                    continue
                unknown = [word for word in words if self.sequence.spelt(word) not in self.sequence.codes]
                if unknown:
                    flag = Flag(name, "", f"{unknown[0]!r} is not in the vocabulary; read as {self.sequence.unknown!r}")
                    if strict:
                        raise ValueError(str(flag))
                    flags.append(flag)
                rows.append(name)
                kept.append(i)
            yield self._reading(codes, rows, torch.tensor(kept, dtype=torch.int64) + start, flags, skipped)
            start += len(names)

    def _reading(
        self, codes: list[list[int]], rows: list[str], position: Tensor, flags: list[Flag], skipped: list[Flag]
    ) -> Reading:
        x = self.sequence.pad(codes)
        if self.whole:
            return Reading(x, tuple(rows), None, tuple(flags), tuple(skipped), (), position)
        before = len(self.sequence.before)
        count = [len(row) - before - len(self.sequence.after) for row in codes]
        asked = torch.tensor([before + i for n in count for i in range(n)], dtype=torch.int64)
        which = torch.arange(len(codes)).repeat_interleave(torch.tensor(count, dtype=torch.int64))
        names = tuple(f"{name}, word {i + 1}" for name, n in zip(rows, count, strict=True) for i in range(n))
        x = torch.cat([asked[:, None], x[which]], 1)
        return Reading(x, names, None, tuple(flags), tuple(skipped), (), position[which])

    def _sequences(self, raw: Any, skip: bool) -> Iterator[tuple[list[str], list[list[str]]]]:
        """Names and words of sequences, in pieces."""
        if self.sequence.columns:
            if isinstance(raw, str) and "=" in raw and not Path(raw).exists():
                raw = dict(part.strip().split("=", 1) for part in raw.split(",") if "=" in part)
            for cells in read_cells(raw, skip=skip):
                yield self._rows(cells)
        elif isinstance(raw, Sequence) and not isinstance(raw, str) and raw and not isinstance(raw[0], str):
            yield [f"sequence {i}" for i in range(1, len(raw) + 1)], [list(map(str, words)) for words in raw]
        elif isinstance(raw, Sequence) and not isinstance(raw, str) and raw and not any(" " in word for word in raw):
            yield ["sequence 1"], [list(raw)]
        else:
            for piece in read_texts(raw, skip=skip):
                yield list(piece.rows), [split_words(text) for text in piece.texts]

    def _rows(self, cells: Cells) -> tuple[list[str], list[list[str]]]:
        for name in self.sequence.columns:
            if name not in cells.columns:
                raise ValueError(
                    f"{cells.source} has no column {name!r} (an input of the model){no_column(name, cells.columns)}"
                )
        markers = frozenset(MARKERS)
        columns = {name: as_text(cells.columns[name]) for name in self.sequence.columns}
        rows = [[self._word(name, column[i], markers) for name, column in columns.items()] for i in range(len(cells))]
        return [cells.name_of(i) for i in range(len(cells))], rows

    def _word(self, column: str, cell: str | None, markers: frozenset[str]) -> str:
        """The word of a cell; a marker of missing cells that was a value in training is that value."""
        word = f"{column}={cell or EMPTY}"
        if cell in markers and word not in self.sequence.codes:
            return f"{column}={EMPTY}"
        return f"{column}={word_of(cell or EMPTY, self._values_of[column])}"

    @cached_property
    def _values_of(self) -> dict[str, list[str]]:
        """The words of each column of the rows of a table."""
        pairs = [token.partition("=") for token in self.sequence.tokens]
        return {name: [value for column, _, value in pairs if column == name] for name in self.sequence.columns}

    def check(self, other: Any) -> None:
        """Refuse another vocabulary or other names of classes.

        Args:
            other: a ``Frame``, or names of classes.

        Raises:
            ValueError: listing tokens or classes that are missing, additional or renamed.
        """
        if isinstance(other, Frame):
            compare_names(self.sequence.tokens, other.tokens, "tokens", partial=True, exact=True)
            if other.length > self.sequence.length:
                raise ValueError(f"sequences have up to {other.length} tokens; the model reads {self.sequence.length}")
        else:
            compare_names(self.class_names, list(other), "classes", partial=True)

    def show(self, x: Tensor) -> list[list[str]]:
        """Return for each of the inputs the texts of its tokens, the position asked in brackets."""
        out = []
        for row in x.long().tolist():
            asked, codes = (None, row) if self.whole else (row[0], row[1:])
            words = [self.sequence.tokens[code] for code in codes if code != NOTHING]
            out.append([f"[{word}]" if i == asked else word for i, word in enumerate(words)])
        return out

    def describe(self) -> list[str]:
        """Return the preprocessing in words."""
        unknown = self.sequence.unknown
        outside = "are refused" if unknown is None else f"are read as {unknown!r}"
        n = len(self.sequence.tokens)
        return [f"sequences of at most {self.sequence.length} tokens from a vocabulary of {n}; other words {outside}"]

    def to_config(self) -> dict[str, Any]:
        """Return plain values for YAML."""
        return {"sequence": self.sequence.to_config(), "class_names": list(self.class_names), "whole": self.whole}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TokenInputs:
        """Return the inputs from plain values.

        Raises:
            ValueError: if a key or a value is not understood.
        """
        return cls(Frame.from_config(config["sequence"]), class_names=config["class_names"], whole=config["whole"])
