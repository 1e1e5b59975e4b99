"""Sentences of a user's own whose words are tagged, such as named entities: one word and its tag a line."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from zoo.data.labeled_sequences import Sequences, as_split, word_frame
from zoo.data.sampler import mix
from zoo.data.sequences._bio_file import Sentence, beginnings, read_bio
from zoo.data.sequences._spans import compare, figures, kinds_of, spans
from zoo.data.split import Split
from zoo.paths import did_you_mean
from zoo.registry import register
from zoo.sequence_spec import Frame

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
FILES = {"train": "train", "val": "valid", "test": "test"}


@register
class Tagged(Sequences):
    """Sentences as sequences of words; the questions are the tags of all words.

    In ``folder`` are ``train.bio``, ``test.bio`` and, or a share of the training sentences is held out, ``valid.bio``,
    each as it is or with ``.gz``. A line is a word and its tag: ``O``, or ``B-`` or ``I-`` and a kind; an empty line
    ends a sentence. IOB1 is read as IOB2. Words are the most frequent ones of training, others ``<unk>``.

    What is scored, besides the tags: spans, strictly (see ``zoo.data.sequences._spans``), always over whole sentences.

    Args:
        folder: where the files are.
        length: of the longest sequence, begin and end included.
        long: what becomes of sentences with more words: read in pieces of about equal length, which are put together
            again to be scored; or left out, as the published figures leave them out.
        words: size of the vocabulary, special tokens included, at most.
        digits: what every run of digits is read as; None to read numbers as they are.
        alike: whether training puts sentences of like length together, which takes half of the time.
        batch_size: sentences of one rank.
        common: the other arguments of ``Data``.

    Raises:
        ValueError: if an argument is out of range or, once read, a file is missing or wrong.
    """

    license = "the user's own"
    users_own: ClassVar[bool] = True

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
        self.folder, self.length, self.long = Path(folder), length, long
        self.words, self.digits, self.alike = words, digits, alike
        self._told: tuple[Frame, tuple[str, ...]] | None = None

    def check_compatible_with(self, sequence: Mapping[str, Any]) -> None:
        """Any sentences, with the words and tags that a trained model knows."""
        frame = {key: value for key, value in sequence.items() if key != "classes"}
        self._told = Frame.from_config(frame), tuple(map(str, sequence["classes"]))

    @cached_property
    def sentences(self) -> dict[str, list[Sentence]]:
        """All sentences of each split's file, whatever their length."""
        found = {}
        for name, stem in FILES.items():
            file = self.folder / f"{stem}.bio"
            file = file if file.is_file() else file.with_name(f"{stem}.bio.gz")
            if file.is_file():
                found[name] = read_bio(file)
            elif name != "val":
                raise ValueError(f"{file} is missing (and so is {stem}.bio); {self._hint}")
        if "val" not in found and self.val:
            rows, generator = found["train"], torch.Generator().manual_seed(mix(self.seed))
            held = set(torch.randperm(len(rows), generator=generator)[: round(self.val * len(rows))].tolist())
            found["val"] = [s for i, s in enumerate(rows) if i in held]
            found["train"] = [s for i, s in enumerate(rows) if i not in held]
        known = {tag for s in found["train"] for tag in s.tags} if self._told is None else set(self._told[1])
        kinds = kinds_of([*known])
        for name, rows in found.items():
            for s in rows:
                if lost := [tag for tag in s.tags if tag not in known and tag[2:] not in kinds]:
                    near = did_you_mean(lost[0], sorted(known))
                    raise ValueError(f"{name}, sentence {s.number} has {lost[0]!r}, a tag never seen in training{near}")
        return found

    _hint = "set data.folder to the folder that has it"

    @cached_property
    def class_names(self) -> tuple[str, ...]:  # pyright: ignore
        """``O``, and for each kind of the training sentences the tags that begin and go on."""
        if self._told is not None:
            return self._told[1]
        kinds = kinds_of([tag for s in self.sentences["train"] for tag in s.tags])
        return ("O", *(f"{place}-{kind}" for kind in kinds for place in "BI"))

    @cached_property
    def sequence(self) -> Frame:  # pyright: ignore
        """Words by how often training has them."""
        if self._told is not None:
            return self._told[0]
        plain = Frame((BEGIN, END, UNKNOWN), self.length, (BEGIN,), (END,), UNKNOWN, digits=self.digits)
        return word_frame((s.words for s in self.sentences["train"]), plain, words=self.words)

    @cached_property
    def pieces_of(self) -> dict[str, list[Sentence]]:
        """What is read of each split: sentences, long ones in pieces or not at all."""
        room = self.sequence.room
        found = {}
        for name, rows in self.sentences.items():
            kept = [s for s in rows if self.long == "pieces" or len(s.words) <= room]
            found[name] = [piece for s in kept for piece in s.pieces(room)]
            if not found[name]:
                raise ValueError(f"{name} has no sentence of up to {room} words; set data.length higher, or more in it")
        return found

    def _read(self) -> dict[str, Split]:
        place, found = {name: i for i, name in enumerate(self.class_names)}, {}
        for name, rows in self.pieces_of.items():
            labels = [[place[tag] for tag in s.tags] for s in rows]
            found[name] = as_split(name, self.sequence, [s.words for s in rows], labels, whole=False)
        return found

    def _check_split(self, name: str, split: Split) -> None:
        """A kind may have no second word in training, and a split need not have all tags."""

    def extra_metrics(self, model: Any) -> dict[str, float]:
        """Spans found in the test sentences, beside ``by word alone``: each word's most frequent tag in training."""
        return self.entities(model, "test")

    @torch.no_grad()
    def entities(self, model: Any, name: str) -> dict[str, float]:
        """The figures of a split; of a part of its sentences (``limit``) there are none."""
        if self.limit is not None or name not in self.pieces_of:
            return {}
        said = torch.cat([model(b.x.to(model.device)).argmax(1).cpu() for b in self.loader(name)])
        split, begins = self._split(name), beginnings(self.pieces_of[name])
        truth, found, alone = (spans(c, self.class_names, begins) for c in (split.y, said, self._by_word(split)))
        told = figures(truth, found, begins, kinds=kinds_of(self.class_names), room=self.sequence.room)
        return told | {"sentences": float(len(self.sentences[name])), "F1 by word alone": compare(truth, alone).f1}

    def _by_word(self, split: Split) -> Tensor:
        """Each word's most frequent tag in training."""
        count = torch.zeros(len(self.sequence.tokens), self.num_classes, dtype=torch.int64)
        train = self._split("train")
        count.index_put_((_asked(train), train.y), torch.tensor(1), accumulate=True)
        return count.argmax(1)[_asked(split)]


def _asked(split: Split) -> Tensor:
    """The code of the word of each question."""
    assert split.x is not None
    return split.x.gather(1, split.x[:, :1] + 1)[:, 0]
