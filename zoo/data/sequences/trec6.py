"""TREC-6, what kind of thing a question asks for (Li and Roth, Learning Question Classifiers, COLING 2002)."""

from __future__ import annotations

import csv
import gzip
import io
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo import paths
from zoo.data.labeled_sequences import Sequences, as_split, word_frame
from zoo.data.split import Split
from zoo.registry import register
from zoo.sequence_spec import Frame

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"


@register
class Trec6(Sequences):
    """Questions as sequences of words in lower case, every number written ``#``; one of six classes for each.

    The files are ``text/trec6/train.tsv.gz`` and ``test.tsv.gz`` below the data root, with the columns ``coarse`` and
    ``text``. Of a question with too many words the first ones are kept. Words that are rare in training are ``<unk>``.

    Args:
        length: of the longest sequence, begin and end included.
        words: size of the vocabulary, special tokens included, at most.
        least: times that a word must occur in training.
        alike: whether training puts questions of like length together, which takes half of the time.
        batch_size: questions of one rank.
        common: the other arguments of ``Data``.

    Raises:
        ValueError: if an argument is out of range or, once read, a file is missing or wrong.
    """

    whole = True
    class_names = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
    license = "University of Illinois, for research"

    def __init__(
        self,
        *,
        length: int = 32,
        words: int = 10_000,
        least: int = 2,
        alike: bool = True,
        batch_size: int = 128,
        **common: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **common)
        for name, value, low in (("length", length, 3), ("words", words, 4), ("least", least, 1)):
            if value < low:
                raise ValueError(f"data.{name} is {value}; expected {low} or more")
        self.length, self.words, self.least, self.alike = length, words, least, alike

    @cached_property
    def _files(self) -> dict[str, list[tuple[str, list[str]]]]:
        return {name: self._rows(paths.data() / "text" / "trec6" / f"{name}.tsv.gz") for name in ("train", "test")}

    def _rows(self, file: Path) -> list[tuple[str, list[str]]]:
        if not file.is_file():
            raise ValueError(f"{file} is missing; put TREC-6 there, or set ZOO_DATA to the folder above text/")
        text = io.StringIO(gzip.decompress(file.read_bytes()).decode("utf-8"), newline="")
        found = []
        for i, row in enumerate(csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE), 2):
            label, question = row.get("coarse"), row.get("text")
            if label not in self.class_names or not question:
                raise ValueError(f"{file}, row {i}: expected a class in column 'coarse' and a question in 'text'")
            found.append((label, question.split()[: self.length - 2]))
        return found

    @cached_property
    def sequence(self) -> Frame:  # pyright: ignore
        """Words by how often training has them."""
        plain = Frame((BEGIN, END, UNKNOWN), self.length, (BEGIN,), (END,), UNKNOWN, lower=True, digits="#")
        return word_frame((w for _, w in self._files["train"]), plain, words=self.words, least=self.least)

    def _read(self) -> dict[str, Split]:
        place = {name: i for i, name in enumerate(self.class_names)}
        return {
            name: as_split(name, self.sequence, [w for _, w in rows], [[place[c]] for c, _ in rows], whole=True)
            for name, rows in self._files.items()
        }
