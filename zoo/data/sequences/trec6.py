"""TREC-6: questions by expected answer type (Li and Roth, Learning Question Classifiers, COLING 2002)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo import paths
from zoo.data.file_readers import read_lines
from zoo.data.labeled_sequences import LabeledSequenceData, as_split, word_frame
from zoo.data.split import Split
from zoo.inputs.labels import compare_names
from zoo.registry import register
from zoo.sequence_spec import Frame

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"


@register
class Trec6(LabeledSequenceData):
    """Questions as sequences of lower-case words, with every number as ``#``; six classes of answer types.

    The files are ``text/trec6/train.tsv.gz`` and ``test.tsv.gz`` below the data root, with the columns ``coarse`` and
    ``text``. Long questions are truncated at the end. Words that are rare in training are ``<unk>``.

    Args:
        length: maximum length of a sequence, begin and end included.
        words: maximum size of the vocabulary, special tokens included.
        least: minimum number of occurrences of a word in training.
        alike: whether training batches questions of similar length together, which halves the time.
        batch_size: questions per batch on each rank.
        common: other arguments of ``zoo.data.base.Data``.

    Raises:
        ValueError: if an argument is out of range or, once read, a file is missing or invalid.
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
        self.length = length
        self.words = words
        self.least = least
        self.alike = alike

    @property
    def is_available(self) -> bool:
        """Whether the files exist; a trained model answers for questions without them."""
        return self._file("train").is_file()

    def check_compatible_with(self, sequence: Mapping[str, Any]) -> None:
        """Read questions with the words and classes of a trained model.

        Raises:
            ValueError: if the model has other classes.
        """
        names = tuple(map(str, sequence["classes"]))
        compare_names(names, self.class_names, "classes", exact=True)
        self.class_names = names
        vars(self)["sequence"] = Frame.from_config({k: v for k, v in sequence.items() if k != "classes"})

    @staticmethod
    def _file(name: str) -> Path:
        return paths.data() / "text" / "trec6" / f"{name}.tsv.gz"

    @cached_property
    def _files(self) -> dict[str, list[tuple[str, list[str]]]]:
        return {name: self._rows(self._file(name)) for name in ("train", "test")}

    def _rows(self, file: Path) -> list[tuple[str, list[str]]]:
        if not file.is_file():
            raise ValueError(f"{file} is missing; put TREC-6 there, or set ZOO_DATA to the folder above text/")
        text = io.StringIO("".join(read_lines(file)), newline="")
        rows: list[tuple[str, list[str]]] = []
        for i, row in enumerate(csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE), 2):
            label = row.get("coarse")
            question = row.get("text")
            if label not in self.class_names or not question:
                raise ValueError(f"{file}, row {i}: expected a class in column 'coarse' and a question in 'text'")
            rows.append((label, question.split()[: self.length - 2]))
        return rows

    @cached_property
    def sequence(self) -> Frame:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Format of the sequences; words are ordered by their frequency in training."""
        plain = Frame((BEGIN, END, UNKNOWN), self.length, (BEGIN,), (END,), UNKNOWN, lower=True, digits="#")
        return word_frame((w for _, w in self._files["train"]), plain, words=self.words, min_count=self.least)

    def _read(self) -> dict[str, Split]:
        place = {name: i for i, name in enumerate(self.class_names)}
        return {
            name: as_split(name, self.sequence, [w for _, w in rows], [[place[c]] for c, _ in rows], whole=True)
            for name, rows in self._files.items()
        }
