"""Sentences of the user with tagged words, such as named entities: one word and its tag per line."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from zoo.data.base import SplitName
from zoo.data.labeled_sequences import LabeledSequenceData, as_split, word_frame
from zoo.data.sampler import mix
from zoo.data.sequences._bio_file import Sentence, read_bio, sentence_starts
from zoo.data.sequences._spans import compare, find_spans, kinds_of, span_metrics
from zoo.data.split import Split
from zoo.paths import did_you_mean
from zoo.registry import register
from zoo.sequence_spec import Frame

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
FILES = {"train": "train", "val": "valid", "test": "test"}


@register
class Tagged(LabeledSequenceData):
    """Sentences as sequences of words; each word is a question about its tag.

    ``folder`` has ``train.bio``, ``test.bio`` and optionally ``valid.bio``, plain or with ``.gz``; without
    ``valid.bio``, a share of the training sentences is the validation split. A line is a word and its tag: ``O``, or
    ``B-`` or ``I-`` and a kind, with any columns between them (CoNLL); an empty line ends a sentence. IOB1, BIOES and
    BILOU are converted to IOB2. The vocabulary is the most
    frequent words of training; others are ``<unk>``.

    Metrics cover the tags and the spans, by exact match (see ``zoo.data.sequences._spans``), over whole sentences.

    Args:
        folder: folder of the files.
        length: maximum length of a sequence, begin and end included.
        long: treatment of longer sentences: ``pieces`` reads them in pieces of about equal length, which are joined
            for the metrics; ``drop`` leaves them out, as published results do.
        words: maximum size of the vocabulary, special tokens included.
        digits: text that replaces every run of digits; None keeps numbers.
        alike: whether training batches sentences of similar length together, which halves the time.
        batch_size: sentences per batch on each rank.
        common: other arguments of ``zoo.data.base.Data``.

    Raises:
        ValueError: if an argument is out of range or, once read, a file is missing or invalid.
    """

    license = "the user's own"
    user_supplied: ClassVar[bool] = True

    def __init__(
        self,
        *,
        folder: str,
        length: int = 32,
        long: Literal["pieces", "drop"] = "pieces",
        words: int = 10_000,
        digits: str | None = "@",
        alike: bool = True,
        batch_size: int = 32,
        **common: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **common)
        for name, value, low in (("length", length, 3), ("words", words, 4)):
            if value < low:
                raise ValueError(f"data.{name} is {value}; expected {low} or more")
        self.folder = Path(folder)
        self.length = length
        self.long = long
        self.words = words
        self.digits = digits
        self.alike = alike
        self._trained: tuple[Frame, tuple[str, ...]] | None = None

    @property
    def is_available(self) -> bool:
        """Whether the training file exists; a trained model answers for sentences without it."""
        return any((self.folder / f"train.bio{suffix}").is_file() for suffix in ("", ".gz"))

    def check_compatible_with(self, sequence: Mapping[str, Any]) -> None:
        """Read sentences with the words and tags of a trained model."""
        frame = {key: value for key, value in sequence.items() if key != "classes"}
        self._trained = Frame.from_config(frame), tuple(map(str, sequence["classes"]))

    @cached_property
    def sentences(self) -> dict[str, list[Sentence]]:
        """All sentences of each split, of any length."""
        sentences: dict[str, list[Sentence]] = {}
        for name, stem in FILES.items():
            file = self.folder / f"{stem}.bio"
            file = file if file.is_file() else file.with_name(f"{stem}.bio.gz")
            if file.is_file():
                sentences[name] = read_bio(file)
            elif name != "val":
                raise ValueError(f"{file} is missing, and so is {stem}.bio; {self._hint}")
        if "val" not in sentences and self.val:
            rows = sentences["train"]
            generator = torch.Generator().manual_seed(mix(self.seed))
            in_val = set(torch.randperm(len(rows), generator=generator)[: round(self.val * len(rows))].tolist())
            sentences["val"] = [s for i, s in enumerate(rows) if i in in_val]
            sentences["train"] = [s for i, s in enumerate(rows) if i not in in_val]
        known = {tag for s in sentences["train"] for tag in s.tags} if self._trained is None else set(self._trained[1])
        kinds = kinds_of([*known])
        for name, rows in sentences.items():
            for s in rows:
                unknown = [tag for tag in s.tags if tag not in known and tag[2:] not in kinds]
                if unknown:
                    near = did_you_mean(unknown[0], sorted(known))
                    raise ValueError(f"{name}, sentence {s.number} has {unknown[0]!r}, a tag not in training{near}")
        return sentences

    _hint = "set data.folder to its folder"

    @cached_property
    def class_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """``O``, and the tags ``B-`` and ``I-`` of each kind in the training sentences."""
        if self._trained is not None:
            return self._trained[1]
        kinds = kinds_of([tag for s in self.sentences["train"] for tag in s.tags])
        return ("O", *(f"{place}-{kind}" for kind in kinds for place in "BI"))

    @cached_property
    def sequence(self) -> Frame:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Format of the sequences; words are ordered by their frequency in training."""
        if self._trained is not None:
            return self._trained[0]
        plain = Frame((BEGIN, END, UNKNOWN), self.length, (BEGIN,), (END,), UNKNOWN, digits=self.digits)
        return word_frame((s.words for s in self.sentences["train"]), plain, words=self.words)

    @cached_property
    def pieces_of(self) -> dict[str, list[Sentence]]:
        """Sentences of each split as they are read: long ones in pieces or left out."""
        room = self.sequence.room
        pieces: dict[str, list[Sentence]] = {}
        for name, rows in self.sentences.items():
            kept = [s for s in rows if self.long == "pieces" or len(s.words) <= room]
            pieces[name] = [piece for s in kept for piece in s.pieces(room)]
            if not pieces[name]:
                raise ValueError(f"{name} has no sentence of up to {room} words; increase data.length")
        return pieces

    def _read(self) -> dict[str, Split]:
        place = {name: i for i, name in enumerate(self.class_names)}
        splits: dict[str, Split] = {}
        for name, rows in self.pieces_of.items():
            labels = [[place[tag] for tag in s.tags] for s in rows]
            splits[name] = as_split(name, self.sequence, [s.words for s in rows], labels, whole=False)
        return splits

    def _check_split(self, name: str, split: Split) -> None:
        """Accept every split: training may lack an ``I-`` tag, and other splits need not have all tags."""

    def extra_metrics(self, model: Any) -> dict[str, float]:
        """Return precision, recall and F1 of spans in the test sentences.

        ``F1 by word alone`` is that of a baseline: the most frequent tag of each word in training.
        """
        return self.span_metrics(model, "test")

    @torch.no_grad()
    def span_metrics(self, model: Any, name: SplitName) -> dict[str, float]:
        """Return the span metrics of a split; empty if only a part of its sentences is read (``limit``)."""
        if self.limit is not None or name not in self.pieces_of:
            return {}
        predicted = torch.cat([model(b.x.to(model.device)).argmax(1).cpu() for b in self.loader(name)])
        split = self._split(name)
        begins = sentence_starts(self.pieces_of[name])
        codes = (split.y, predicted, self._most_frequent_tag(split))
        truth, found, baseline = (find_spans(c, self.class_names, begins) for c in codes)
        metrics = span_metrics(truth, found, begins, kinds=kinds_of(self.class_names), max_words=self.sequence.room)
        sentences = float(len(self.sentences[name]))
        return metrics | {"sentences": sentences, "F1 by word alone": compare(truth, baseline).f1}

    def _most_frequent_tag(self, split: Split) -> Tensor:
        """Return the most frequent tag in training of the word of each question, ``(n,)``."""
        count = torch.zeros(len(self.sequence.tokens), self.num_classes, dtype=torch.int64)
        train = self._split("train")
        count.index_put_((_word(train), train.y), torch.tensor(1), accumulate=True)
        return count.argmax(1)[_word(split)]


def _word(split: Split) -> Tensor:
    """Return the code ``(n,)`` of the word of each question."""
    assert split.x is not None
    return split.x.gather(1, split.x[:, :1] + 1)[:, 0]
