"""Sentences of a user's own whose words are tagged, such as named entities: one word and its tag a line."""

from __future__ import annotations

import gzip
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from zoo.data.labelled import Sequences, as_split, word_frame
from zoo.data.spans import as_iob2, compare, kinds_of, spans
from zoo.data.split import Split
from zoo.paths import did_you_mean
from zoo.sequences import Frame

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
FILES = {"train": "train", "val": "valid", "test": "test"}


class Sentence(NamedTuple):
    """One sentence of a file, or a piece of one."""

    words: list[str]
    tags: list[str]
    number: int


class Tagged(Sequences):
    """Sentences as sequences of words; the questions are the tags of all words.

    In ``folder`` are ``train.bio``, ``test.bio`` and, or a share of train is held out, ``valid.bio``, each as it is or
    with ``.gz``. A line is a word, a tab or spaces, and its tag: ``O``, or ``B-`` or ``I-`` and a kind; an empty line
    ends a sentence. IOB1 is read as IOB2. Words are the most frequent ones of training, others ``<unk>``.

    What is scored, besides the tags: spans, strictly (see ``zoo.data.spans``), always over whole sentences.

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

    licence = "the user's own"
    users_own: ClassVar[bool] = True

    def __init__(
        self, *, folder: str, length: int = 32, long: Literal["pieces", "drop"] = "pieces", words: int = 10_000,
        digits: str | None = "@", alike: bool = True, batch_size: int = 32, **common: Any,
    ) -> None:  # fmt: skip
        super().__init__(batch_size=batch_size, **common)
        for name, value, low in (("length", length, 3), ("words", words, 4)):
            if value < low:
                raise ValueError(f"data.{name} is {value}; expected {low} or more")
        if long not in ("pieces", "drop"):
            raise ValueError(f"data.long is {long!r}; expected pieces or drop")
        self.folder, self.length, self.long = Path(folder), length, long
        self.words, self.digits, self.alike = words, digits, alike

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
        known = {tag for s in found["train"] for tag in s.tags}
        for name, rows in found.items():
            for s in rows:
                if lost := [t for t in s.tags if t not in known and t[2:] not in kinds_of(list(known))]:
                    near = did_you_mean(lost[0], sorted(known))
                    raise ValueError(f"{name}, sentence {s.number} has {lost[0]!r}, a tag never seen in training{near}")
        return found

    _hint = "set data.folder to the folder that has it"

    @cached_property
    def class_names(self) -> tuple[str, ...]:  # pyright: ignore
        """``O``, and for each kind of the training sentences the tags that begin and go on."""
        kinds = kinds_of([tag for s in self.sentences["train"] for tag in s.tags])
        return ("O", *(f"{place}-{kind}" for kind in kinds for place in "BI"))

    @cached_property
    def sequence(self) -> Frame:  # pyright: ignore
        """Words by how often training has them."""
        plain = Frame((BEGIN, END, UNKNOWN), self.length, (BEGIN,), (END,), UNKNOWN, digits=self.digits)
        return word_frame((s.words for s in self.sentences["train"]), plain, words=self.words)

    @cached_property
    def pieces_of(self) -> dict[str, list[Sentence]]:
        """What is read of each split: sentences, long ones in pieces or not at all."""
        room = self.sequence.room
        return {
            name: [piece for s in rows for piece in _pieces(s, room) if self.long == "pieces" or len(s.words) <= room]
            for name, rows in self.sentences.items()
        }

    def _read(self) -> dict[str, Split]:
        place, found = {name: i for i, name in enumerate(self.class_names)}, {}
        for name, rows in self.pieces_of.items():
            labels = [[place[tag] for tag in s.tags] for s in rows]
            found[name] = as_split(name, self.sequence, [s.words for s in rows], labels, whole=False)
        return found

    def _check_split(self, name: str, split: Split) -> None:
        if not len(split):
            raise ValueError(f"{name} has no sentence of up to {self.sequence.room} words; set data.length higher")

    # What is known of a model.

    def figures(self, model: Any) -> dict[str, float]:
        """Spans found in the test sentences, beside what a look at each word alone would find.

        ``up to n words``: the same over the sentences that the published figures are of. ``by word alone``: each word's
        most frequent tag in training.
        """
        return self.entities(model, "test")

    @torch.no_grad()
    def entities(self, model: Any, name: str) -> dict[str, float]:
        """The figures of a split; of a part of its sentences (``limit``) there are none."""
        if self.limit is not None or name not in self.pieces_of:
            return {}
        said = torch.cat([model(b.x.to(model.device)).argmax(1).cpu() for b in self.loader(name)])
        room, split, first, size = self.sequence.room, self._split(name), [], []
        for piece, before in zip(self.pieces_of[name], [None, *self.pieces_of[name]], strict=False):
            first += [before is None or piece.number != before.number, *[False] * (len(piece.words) - 1)]
        begins = torch.tensor(first)
        which = begins.long().cumsum(0) - 1
        size = torch.bincount(which)[which]
        truth, found = (spans(codes, self.class_names, begins) for codes in (split.y, said))
        alone = compare(truth, spans(self._by_word(split), self.class_names, begins))
        every, short = compare(truth, found), compare(truth, found, among=size <= room)
        told = {"precision of spans": every.precision, "recall of spans": every.recall, "F1 of spans": every.f1}
        told |= {f"F1 of {k}": compare(truth, found, kind=i).f1 for i, k in enumerate(kinds_of(self.class_names), 1)}
        told |= {
            f"F1 up to {room} words": short.f1,
            f"sentences up to {room} words": float((begins & (size <= room)).sum()),
        }
        return told | {"sentences": float(len(self.sentences[name])), "F1 by word alone": alone.f1}

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


def _pieces(sentence: Sentence, room: int) -> list[Sentence]:
    n = len(sentence.words)
    count = -(-n // room)
    cuts = [round(i * n / count) for i in range(count + 1)]
    return [
        Sentence(sentence.words[a:b], sentence.tags[a:b], sentence.number) for a, b in zip(cuts, cuts[1:], strict=False)
    ]


def read_bio(file: Path) -> list[Sentence]:
    """The sentences of a file of words and tags, the tags as IOB2.

    Raises:
        ValueError: if it has no sentence or a line is not a word and a tag; file and line are named.
    """
    text = (gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()).decode("utf-8")
    found, words, tags = [], [], []
    for i, line in enumerate([*text.splitlines(), ""], 1):
        if not line.strip():
            if words:
                found.append(Sentence(words, as_iob2(tags), len(found) + 1))
            words, tags = [], []
            continue
        cells = line.split()
        if len(cells) != 2 or not (cells[1] == "O" or (cells[1][:2] in ("B-", "I-") and cells[1][2:])):
            raise ValueError(f"{file}, line {i}: {line!r}; expected a word and its tag: O, or B- or I- and a kind")
        words.append(cells[0])
        tags.append(cells[1])
    if not found:
        raise ValueError(
            f"{file} has no sentence; expected a word and its tag a line, and empty lines between sentences"
        )
    return found
