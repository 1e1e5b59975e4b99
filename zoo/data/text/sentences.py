"""Labeled sentences of the user, or of a public set: CSV, TSV, JSON Lines, Parquet or a folder for each class."""

from __future__ import annotations

import logging
import re
from collections import Counter
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo import paths
from zoo.concept_schema import ConceptSchema
from zoo.data.base import SplitName
from zoo.data.concepts._concept_columns import Column, Labels, encode
from zoo.data.labeled_sequences import LabeledSequenceData
from zoo.data.split import Split
from zoo.data.tables._annotations import read_groups
from zoo.data.tables._column_roles import division, sample_names
from zoo.data.text._equal_texts import join_groups, number_texts, report_equal_texts
from zoo.data.text._generated_reviews import generated_reviews
from zoo.data.text._sentence_sets import SETS
from zoo.inputs.base import Inputs
from zoo.inputs.labels import class_names_of, compare_names, label_key
from zoo.inputs.sentences import SentenceInputs
from zoo.inputs.tables.cells import Cells, as_text, concatenate_cells
from zoo.inputs.tables.table_reader import read_table
from zoo.inputs.texts.saved_datasets import split_folders
from zoo.inputs.texts.sentence_files import joined_texts, read_sentences, text_columns
from zoo.inputs.texts.text_encoders import EncoderSpec, encoder_spec
from zoo.inputs.texts.word_spans import SEPARATOR, word_spans
from zoo.paths import did_you_mean
from zoo.registry import register
from zoo.sequence_spec import Frame

log = logging.getLogger("zoo")
UNKNOWN, BEGIN, END = "[UNK]", "[BEGIN]", "[END]"
GENERATED = "generated_reviews"  # the set that needs no files
LABEL_COLUMNS = ("label", "class", "target", "category", "stars", "sentiment")  # names that need not be given


@register
class Sentences(LabeledSequenceData):
    """Sentences or short texts with a class each, as words of a vocabulary or as word pieces of an encoder.

    Text is never changed but for Unicode form NFC, and every explanation is shown over its original characters. Texts
    that are equal but for case and spaces stay in one split where the splits are drawn. Without a split column or
    files, a stratified fifth is the test split, the same for every seed.

    Args:
        file: CSV, TSV, JSON Lines, Parquet, a folder with one folder of ``.txt`` files for each class, or a folder that
            ``datasets`` of Hugging Face has saved, whose splits are taken over.
        set: a public set below ``ZOO_DATA/text`` instead of a file: sst2, sst5, trec6, ag_news, cebab or
            cebab_inclusive; or generated_reviews, which needs no files.
        text: column of the text; several are joined with `` [SEP] `` between them; None for a usual name.
        label: column of the class; None for a usual name.
        val_file: file of the validation split.
        test_file: file of the test split.
        split: column that holds train, val or test.
        id: column that names the samples.
        group: column of groups, such as authors, whose texts stay in one split.
        concept_columns: columns that are concepts, see ``zoo.data.concepts._concept_columns.encode``.
        concept_kinds: kind (binary, categorical or continuous) of concepts whose cells are ambiguous.
        concept_unknown: cells of concept columns that mean that the value is unknown, beside the empty cell.
        concept_missing: value that an empty cell of a concept column stands for; None for unknown.
        label_names: class names by label.
        skip_labels: labels whose texts are left out.
        encoder: a text encoder on this machine: a folder, a name below ``ZOO_DATA/text_encoders``, or a repository in
            the local hub cache; None for words.
        length: tokens of a text at most; what is longer is cut, and counted.
        words: size of the vocabulary at most.
        min_count: times that a word must occur in the training texts.
        lower: whether words are read in lower case.
        digits: text that replaces every run of digits; None to keep digits.
        ends: whether every text begins and ends with a token of its own, for models that look for positions.
        test: share of the texts that is the test split where the splits are drawn.
        alike: whether training batches texts of similar length together.
        batch_size: texts per batch on each rank.
        common: other arguments of ``zoo.data.base.Data``.

    Raises:
        ValueError: if an argument is out of range, or (once read) a file, column, row or cell is missing or invalid.

    Example:
        >>> import tempfile, zoo
        >>> path = Path(tempfile.mkdtemp()) / "reviews.csv"
        >>> rows = [f"{word} {i},{stars}" for i in range(9) for word, stars in (("fine", 5), ("dull", 1))]
        >>> _ = path.write_text(chr(10).join(["review,stars", *rows]))
        >>> data = zoo.create_data("sentences", file=str(path), label="stars", length=8)
        >>> data.class_names, data.sequence.tokens[:3], len(data.splits["test"])
        (('1', '5'), ('[UNK]', 'dull', 'fine'), 4)
    """

    whole = True
    user_supplied = True

    def __init__(
        self,
        *,
        file: str | None = None,
        set: str | None = None,
        text: str | list[str] | None = None,
        label: str | None = None,
        val_file: str | None = None,
        test_file: str | None = None,
        split: str | None = None,
        id: str | None = None,
        group: str | None = None,
        concept_columns: list[str] | None = None,
        concept_kinds: dict[str, str] | None = None,
        concept_unknown: list[str] | None = None,
        concept_missing: str | None = None,
        label_names: dict[str, str] | None = None,
        skip_labels: list[str] | None = None,
        encoder: str | None = None,
        length: int = 128,
        words: int = 20_000,
        min_count: int = 1,
        lower: bool = True,
        digits: str | None = None,
        ends: bool = False,
        test: float = 0.2,
        alike: bool = True,
        batch_size: int = 64,
        **common: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **common)
        if (file is None) == (set is None):
            raise ValueError("data.file and data.set: give one of the two, a file of sentences or a public set")
        if set is not None and set not in SETS:
            near = did_you_mean(set, list(SETS)) or f"; expected one of {', '.join(SETS)}"
            raise ValueError(f"data.set is {set!r}{near}")
        if not 0 < test < 1:
            raise ValueError(f"data.test is {test}; expected a share above 0 and below 1")
        for name, value, low in (("length", length, 4), ("words", words, 4), ("min_count", min_count, 1)):
            if value < low:
                raise ValueError(f"data.{name} is {value}; expected {low} or more")
        known: dict[str, Any] = {} if set is None else SETS[set]
        if set is not None:
            files = [str(paths.data() / "text" / known["folder"] / name) if name else None for name in known["files"]]
            file, val_file, test_file = files
            self.license = known["license"]  # pyright: ignore[reportAttributeAccessIssue]
            self.user_supplied = False  # pyright: ignore[reportAttributeAccessIssue]
        else:
            self.license = "the user's own"  # pyright: ignore[reportAttributeAccessIssue]
        text = [text] if isinstance(text, str) else text
        self.set = set
        self.files = {"train": file, "val": val_file, "test": test_file}
        self.text: list[str] = text or known.get("text", [])
        self.label: str | None = label or known.get("label")
        self.split = split
        self.id = id
        self.group: str | None = group or known.get("group")
        self.concept_columns: list[str] | None = concept_columns or known.get("concept_columns")
        self.concept_kinds = concept_kinds
        self.concept_unknown: list[str] = concept_unknown or known.get("concept_unknown", [])
        self.concept_missing: str | None = concept_missing or known.get("concept_missing")
        self.label_names: dict[str, str] = {
            label_key(str(key)): str(name) for key, name in (label_names or known.get("label_names", {})).items()
        }
        self.skip_labels: list[str] = skip_labels or known.get("skip_labels", [])
        self.encoder = encoder
        self.length = length
        self.words = words
        self.min_count = min_count
        self.lower = lower
        self.digits = digits
        self.ends = ends
        self.test: float = known.get("test", test)
        self.alike = alike
        self._trained: SentenceInputs | None = None
        self._trained_concepts: ConceptSchema | None = None

    @property
    def is_available(self) -> bool:
        """Whether the file exists; a trained model answers for sentences without it."""
        return self.set == GENERATED or Path(self.files["train"] or "").expanduser().exists()

    def use_inputs(self, inputs: Inputs, concepts: ConceptSchema | None = None) -> None:
        """Read the file with the tokens and the classes of a trained model.

        Raises:
            ValueError: if the inputs of the model are no sentences.
        """
        if not isinstance(inputs, SentenceInputs):
            raise ValueError(f"the model reads inputs of kind {inputs.kind!r}, not sentences; name other data")
        self._trained = inputs
        self._trained_concepts = concepts
        for name in ("inputs", "class_names", "sequence"):
            vars(self).pop(name, None)

    # What is read from the files.

    @cached_property
    def _cells(self) -> Cells:
        """The records of all files, with the column ``_part`` where there are several."""
        parts = []
        train = Path(self.files["train"] or "").expanduser()
        if self.files["train"] and train.is_dir() and (folders := split_folders(train)):
            given = {name: file for name, file in self.files.items() if name != "train" and file}
            self.files = dict.fromkeys(self.files) | {name: str(folder) for name, folder in folders.items()} | given
        if self.set == GENERATED:
            parts.append(read_table(generated_reviews()))
        for name, file in self.files.items():
            if file is None:
                continue
            argument = "data.file" if name == "train" else f"data.{name}_file"
            if not Path(file).expanduser().exists():
                cure = "set ZOO_DATA to the folder above text/" if self.set else f"check {argument}"
                raise ValueError(f"{file} is missing; {cure}")
            cells = concatenate_cells(list(read_sentences(Path(file), argument=argument)))
            part = np.full(len(cells), name, object)
            parts.append(replace(cells, columns={**cells.columns, "_part": part}))
        columns = [name for name in parts[0].columns if all(name in part.columns for part in parts)]
        cells = concatenate_cells([replace(p, columns={c: p.columns[c] for c in columns}) for p in parts])
        label = self._label_column(cells)
        given = as_text(cells.columns[label])
        missing = [i for i, cell in enumerate(given) if not cell]
        if missing:
            raise ValueError(
                f"{cells.at(missing[0], label)}: the label is missing in {len(missing)} records; fill it in"
            )
        if self.skip_labels:
            cells = cells.take(np.array([cell not in self.skip_labels for cell in given]))
        return cells

    def _label_column(self, cells: Cells) -> str:
        if self.label is not None:
            cells.column(self.label, "data.label")
            return self.label
        usual = [name for name in cells.columns if name.casefold() in LABEL_COLUMNS]
        if len(usual) == 1:
            return usual[0]
        listed = ", ".join(name for name in cells.columns if name != "_part")
        raise ValueError(f"{cells.source}: no column is clearly the label; name it in data.label, one of {listed}")

    @cached_property
    def _texts(self) -> list[str]:
        cells = self._cells
        others = {self._label_column(cells), "_part", self.split, self.id, self.group, *(self.concept_columns or [])}
        inner = replace(cells, columns={k: v for k, v in cells.columns.items() if k not in others})
        columns = text_columns(inner, self.text)
        self.text = columns
        texts = joined_texts(cells, columns)
        for i, text in enumerate(texts):
            if not re.sub(r"[\s]|" + re.escape(SEPARATOR), "", text):
                raise ValueError(f"{cells.at(i, columns[0])}: the text is empty; fill it in, or remove the record")
        return texts

    @cached_property
    def _names_of_labels(self) -> list[str]:
        """The class name of each record."""
        given = [str(cell) for cell in as_text(self._cells.columns[self._label_column(self._cells)])]
        keys = [label_key(cell) for cell in given]
        if self.label_names:
            unknown = sorted({key for key in keys if key not in self.label_names})
            if unknown:
                known = ", ".join(self.label_names)
                raise ValueError(
                    f"{self._cells.source}: label {unknown[0]!r} has no name in data.label_names ({known})"
                )
            return [self.label_names[key] for key in keys]
        spelling: dict[str, str] = {}
        for cell, _ in Counter(given).most_common():
            spelling.setdefault(label_key(cell), cell.strip())
        return [spelling[key] for key in keys]

    @cached_property
    def class_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Names of the classes: numbers by size, then words by the alphabet; or in the order of ``label_names``."""
        if self._trained is not None:
            return self._trained.class_names
        present = set(self._names_of_labels)
        names: tuple[str, ...]
        if self.label_names:
            names = tuple(name for name in dict.fromkeys(self.label_names.values()) if name in present)
        else:
            names = class_names_of(list(dict.fromkeys(self._names_of_labels)))[0]
        if len(names) < 2:
            raise ValueError(
                f"{self._cells.source}: the label is {', '.join(names)!r} in every record; expected two classes or more"
            )
        return names

    @cached_property
    def _labels(self) -> Labels | None:
        columns = []
        for name in self.concept_columns or []:
            if self._trained is not None and name not in self._cells.columns:
                return None
            self._cells.column(name, "data.concept_columns")
            filled = [
                self.concept_missing if cell == "" and self.concept_missing else cell for cell in self._cells.text(name)
            ]
            cells = ["" if cell in self.concept_unknown else cell for cell in filled]
            columns.append(Column(name, cells, self._cells.lines.tolist(), self._cells))
        return encode(columns, self.concept_kinds).in_order_of(self._trained_concepts) if columns else None

    @cached_property
    def concepts(self) -> ConceptSchema | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Concept columns; mean and std are those of the training split, or of a trained model that has concepts."""
        if self._trained is not None and not self.is_available:
            return self._trained_concepts
        if self._labels is not None and self._trained_concepts is not None:
            return self._trained_concepts
        return None if self._labels is None else self._labels.schema(self._divided_splits["train"].concepts)

    # Splits and tokens.

    def _read(self) -> dict[str, Split]:
        cells = self._cells
        texts = self._texts
        if self._trained is not None:
            compare_names(self.class_names, sorted(set(self._names_of_labels)), "classes", partial=True)
        place = {label_key(name): i for i, name in enumerate(self.class_names)}
        y = torch.tensor([place[label_key(name)] for name in self._names_of_labels])
        same = number_texts(texts)
        has_group = self.group is not None and (self._trained is None or self.group in cells.columns)
        group = read_groups(cells, self.group or "", frozenset({""})) if has_group else None
        drawn = self.split is None and self.files["test"] is None and self.set != GENERATED
        joined = join_groups(same, group) if drawn else group
        samples = Split(
            sample_names(cells, self.id) if self.id else [cells.name_of(i) for i in range(len(cells))],
            y,
            x=torch.arange(len(y))[:, None],
            concepts=None if self._labels is None else self._labels.values,
            group=joined if joined is not None and len(joined.unique()) < len(y) else None,
        )
        parts = self._division(samples, group)
        report_equal_texts(same, y, parts)
        return {name: samples.take(ids) for name, ids in parts.items()}

    def _division(self, samples: Split, group: Tensor | None) -> dict[str, Tensor]:
        cells = self._cells
        if self.files["test"] is not None or self.set == GENERATED:
            part = cells.columns["_part"]
            return {
                name: torch.from_numpy(np.flatnonzero(part == name))
                for name in ("train", "val", "test")
                if (part == name).any()
            }
        options: dict[str, Any] = {"trained": self._trained is not None, "class_names": self.class_names}
        target = self._label_column(cells)
        if self.split is not None:
            return division(cells, samples.y, column=self.split, target=target, group=group, **options)
        return division(cells, samples.y, column=None, target=target, group=samples.group, share=self.test, **options)

    @cached_property
    def _places(self) -> dict[str, Split]:
        """The splits; ``x`` is the position ``(n, 1)`` of each text."""
        return self._divide()

    @cached_property
    def sequence(self) -> Frame | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Vocabulary of the training texts, the most frequent words first; None with an encoder."""
        if self._trained is not None:
            return self._trained.sequence
        if self.encoder is not None:
            return None
        train = self._places["train"].x
        assert train is not None
        ends = (BEGIN, END) if self.ends else ()
        plain = Frame((UNKNOWN, *ends), self.length, ends[:1], ends[1:], UNKNOWN, lower=self.lower, digits=self.digits)
        count: Counter[str] = Counter()
        for i in train[:, 0].tolist():
            text = self._texts[i]
            count.update(plain.spelt(text[start:end]) for start, end in word_spans(text))
        common = sorted(
            (w for w, n in count.items() if n >= self.min_count and w not in plain.tokens), key=lambda w: (-count[w], w)
        )
        return replace(plain, tokens=(*plain.tokens, *common[: self.words - len(plain.tokens)]))

    @cached_property
    def encoder_spec(self) -> EncoderSpec | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The text encoder by id and hash; None for words."""
        if self._trained is not None:
            return self._trained.encoder
        return None if self.encoder is None else encoder_spec(self.encoder)

    @cached_property
    def inputs(self) -> SentenceInputs:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Tokens and classes as fitted on the training split, or those of the trained model."""
        if self._trained is not None:
            return self._trained
        _ = self._texts  # finds the columns
        return SentenceInputs(
            class_names=self.class_names,
            length=self.length,
            sequence=self.sequence,
            encoder=self.encoder_spec,
            text=self.text,
            label=self._label_column(self._cells),
        )

    @cached_property
    def _divided_splits(self) -> dict[str, Split]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The splits; ``x`` has the codes ``(n, length)`` of the texts."""
        x, counts = self.inputs.encode(self._texts)
        cut = sum(count > self.inputs.length for count in counts)
        if cut:
            lost = sum(max(0, count - self.inputs.length) for count in counts) / sum(counts)
            log.info(
                "%d texts have more than %d tokens and are cut, %.1f %% of all tokens",
                cut,
                self.inputs.length,
                100 * lost,
            )
        return {name: replace(split, x=x[split.x[:, 0]]) for name, split in self._places.items() if split.x is not None}

    def texts(self, split: SplitName) -> list[str]:
        """Return the texts of a split as they were written."""
        places = self._places[split].x
        assert places is not None
        return [self._texts[i] for i in places[:, 0].tolist()]

    def _check_split(self, name: str, split: Split) -> None:
        if self._trained is None:  # texts to be evaluated need not have every class
            super()._check_split(name, split)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """``(length,)``."""
        return (self.length if self._trained is None else self._trained.length,)

    @property
    def input_scale(self) -> str:
        """Description of the numbers of an input, for a model card."""
        return "codes of words" if self.encoder_spec is None else "codes of the word pieces of the text encoder"

    def read_input(self, text: str) -> Tensor:
        """Return a text as an input ``(length,)``.

        Raises:
            ValueError: if it is empty.
        """
        return self.inputs.read({"text": [text]}, labels=False).x[0]

    def token_texts(self, x: Tensor) -> list[list[str]]:
        """Return the pieces of each of the texts ``(b, length)``; joined they are the text as it was written."""
        return self.inputs.show(x)

    def feature_values(self, x: Tensor) -> list[list[tuple[str, str]]]:
        """Return an empty list: the page shows the text itself."""
        return []
