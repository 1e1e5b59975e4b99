"""Base class of labeled sequences: questions about positions, served sequence by sequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema
from zoo.data.base import Data, SplitName
from zoo.data.sampler import EpochSampler
from zoo.data.sequence_sampler import SequenceSampler
from zoo.data.split import BatchDataset, Split
from zoo.data.table_data import RowDataset
from zoo.inputs.base import Inputs
from zoo.inputs.texts.tokenizers import split_words
from zoo.inputs.tokens import TokenInputs
from zoo.sequence_spec import NOTHING, Frame


class LabeledSequenceData(Data):
    """A source of labeled sequences. A sample is a question: about a position of a sequence, or about the sequence.

    ``x`` is ``(b, 1 + length)`` int64: the position in question, counted from 0 at the first token, then the token
    codes, padded with -1. For questions about whole sequences (``whole``) it is ``(b, length)``. Questions about one
    sequence are contiguous and served together, with the number of the sequence in ``Batch.sequence``; ``batch_size``
    counts sequences.

    A subclass sets ``sequence`` and reads splits whose ``x`` are such rows.

    Attributes:
        whole: whether there is one question about each whole sequence.
        even: share of the training draws in which all lengths are equally likely; 0 for an ordinary epoch.
        alike: whether training batches sequences of similar length together, which reduces padding.
    """

    whole: bool = False
    even: float = 0.0
    alike: bool = False

    @property
    def inputs(self) -> TokenInputs:
        """Vocabulary, format of the sequences and class names."""
        assert self.sequence is not None
        return TokenInputs(self.sequence, class_names=self.class_names, whole=self.whole)

    def use_inputs(self, inputs: Inputs, concepts: ConceptSchema | None = None) -> None:
        """Read these data with the vocabulary and the classes of a trained model, matched by name.

        Raises:
            ValueError: if the model does not read sequences, or asks about them otherwise.
        """
        if not isinstance(inputs, TokenInputs):
            raise ValueError(f"the model reads inputs of kind {inputs.kind!r}, not sequences of words; name other data")
        if inputs.whole != self.whole:
            asked, asks = ("whole sequences" if whole else "each word" for whole in (inputs.whole, self.whole))
            raise ValueError(f"the model answers for {asked}, these data ask about {asks}; name other data")
        self.check_compatible_with({**inputs.sequence.to_config(), "classes": list(inputs.class_names)})

    @property
    def input_shape(self) -> tuple[int, ...]:
        """``(1 + length,)``, or ``(length,)`` for whole sequences."""
        assert self.sequence is not None
        return (self.sequence.length + (not self.whole),)

    @property
    def input_scale(self) -> str:
        """Description of the numbers of an input, for a model card."""
        return "integers, as returned by read_input of the data"

    def _serve(self, name: SplitName, *, augment: bool) -> BatchDataset:
        split = self._split(name)
        assert split.x is not None
        return RowDataset(split, split.x)

    def _sampler(self, split: SplitName, batch_size: int, *, shuffle: bool, shard: bool) -> EpochSampler:
        x = self._split(split).x
        assert x is not None
        tokens = x if self.whole else x[:, 1:]
        new = torch.ones(len(x), dtype=torch.bool)
        new[1:] = True if self.whole else (tokens[1:] != tokens[:-1]).any(1)
        first = new.nonzero()[:, 0]
        length = (tokens[first] != NOTHING).sum(1) if (self.even or self.alike) and shuffle else None
        return SequenceSampler(
            first,
            len(x),
            batch_size,
            shuffle=shuffle,
            seed=self.seed,
            shard=shard,
            length=length,
            even=self.even,
            alike=self.alike,
        )

    def read_input(self, text: str) -> Tensor:
        """Return words separated by spaces as one question per word ``(b, 1 + length)``, or one question ``(length,)``.

        Raises:
            ValueError: if there are no words, too many, or an unknown one.
        """
        assert self.sequence is not None
        words = split_words(text)
        codes = self.sequence.pad([self.sequence.encode(words)])
        return codes[0] if self.whole else questions(codes, self.sequence, [len(words)])

    def feature_values(self, x: Tensor) -> list[list[tuple[str, str]]]:
        """Return the words of each sequence, the one in question in brackets."""
        assert self.sequence is not None
        rows = []
        for row in x.long().tolist():
            position, codes = (None, row) if self.whole else (row[0], row[1:])
            words = [self.sequence.tokens[c] for c in codes if c != NOTHING]
            rows.append([("sequence", " ".join(f"[{w}]" if i == position else w for i, w in enumerate(words)))])
        return rows


def questions(codes: Tensor, frame: Frame, words: list[int]) -> Tensor:
    """Return a question ``(q, 1 + length)`` about each word of sequences ``(s, length)`` with numbers of ``words``."""
    start = len(frame.before)
    position = torch.tensor([start + i for n in words for i in range(n)])
    row = torch.arange(len(words)).repeat_interleave(torch.tensor(words))
    return torch.cat([position[:, None], codes[row]], 1)


def word_frame(rows: Iterable[list[str]], plain: Frame, *, words: int, min_count: int = 1) -> Frame:
    """Return ``plain``, a format without words, with the words of sequences added, most frequent first.

    Args:
        rows: the words of each training sequence, as written.
        plain: special tokens, length, normalization of words.
        words: maximum size of the vocabulary, special tokens included.
        min_count: minimum number of occurrences of a word.
    """
    count = Counter(plain.spelt(word) for row in rows for word in row)
    common = [word for word, n in count.most_common() if n >= min_count and word not in plain.tokens]
    return replace(plain, tokens=(*plain.tokens, *common[: words - len(plain.tokens)]))


def as_split(name: str, frame: Frame, rows: list[list[str]], labels: list[list[int]], *, whole: bool) -> Split:
    """Return a split of sequences of words with one label per word (-1 for none), or per sequence if ``whole``."""
    codes = frame.pad(map(frame.encode, rows))
    y = torch.tensor([label for row in labels for label in row])
    if whole:
        return Split([f"{name}/{i:05d}" for i in range(len(rows))], y, x=codes)
    x = questions(codes, frame, [len(row) for row in rows])
    names: list[str] = []
    for i, row in enumerate(rows):
        names += [f"{name}/{i:05d}, word {p + 1}" for p in range(len(row))]
    sequence = torch.arange(len(rows)).repeat_interleave(torch.tensor([len(row) for row in rows]))
    kept = (y >= 0).nonzero()[:, 0]
    return Split(names, y, x=x, sequence=sequence).take(kept)
