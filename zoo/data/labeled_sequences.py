"""What all sequences of tokens share: questions about positions, served sequence by sequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.data import Dataset

from zoo.data.base import Data, SplitName
from zoo.data.sampler import EpochSampler
from zoo.data.split import Split
from zoo.data.tables._table_data import Rows
from zoo.data.window_sampler import SequenceSampler
from zoo.sequence_spec import NOTHING, Frame


class Sequences(Data):
    """A source of labelled sequences. A sample is a question: a position of a sequence, or the sequence as a whole.

    ``x`` is ``(b, 1 + length)`` int64: the position asked, counted from 0 at the first token, then the tokens' codes,
    padded with -1. Where the whole sequence is asked (``whole``) it is ``(b, length)``. Questions about one sequence
    follow one another and are served together; ``batch_size`` counts sequences.

    A subclass has a ``frame`` and reads splits whose ``x`` are such rows.

    Attributes:
        whole: whether there is one question for each sequence.
        even: share of the training draws in which all lengths are equally likely; 0 for an ordinary epoch.
        alike: whether training puts sequences of like length together, so that little of a batch is padding.
    """

    whole: bool = False
    even: float = 0.0
    alike: bool = False

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Length, and one for the position asked."""
        assert self.sequence is not None
        return (self.sequence.length + (not self.whole),)

    @property
    def input_scale(self) -> str:
        """Positions and tokens' codes."""
        return "whole numbers, as the data's read_input gives them"

    def _serve(self, name: SplitName, *, augment: bool) -> Dataset:
        split = self._split(name)
        assert split.x is not None
        return Rows(split, split.x)

    def _sampler(self, split: SplitName, batch_size: int, *, shuffle: bool, shard: bool) -> EpochSampler:
        x = self._split(split).x
        assert x is not None
        tokens = x if self.whole else x[:, 1:]
        new = torch.ones(len(x), dtype=torch.bool)
        new[1:] = True if self.whole else (tokens[1:] != tokens[:-1]).any(1)
        first = new.nonzero()[:, 0]
        length = (tokens[first] != NOTHING).sum(1) if (self.even or self.alike) and shuffle else None
        kind = {"length": length, "even": self.even, "alike": self.alike}
        return SequenceSampler(first, len(x), batch_size, shuffle=shuffle, seed=self.seed, shard=shard, **kind)

    def read_input(self, text: str) -> Tensor:
        """Words with spaces between them: one question for each word ``(b, 1 + length)``, or the one ``(length,)``.

        Raises:
            ValueError: if there is no word, there are too many, or one is unknown.
        """
        assert self.sequence is not None
        words = text.split()
        codes = self.sequence.pad([self.sequence.encode(words)])
        return codes[0] if self.whole else questions(codes, self.sequence, [len(words)])

    def feature_values(self, x: Tensor) -> list[list[tuple[str, str]]]:
        """The sequence, the position asked in brackets."""
        assert self.sequence is not None
        rows = []
        for row in x.long().tolist():
            asked, codes = (None, row) if self.whole else (row[0], row[1:])
            words = [self.sequence.tokens[c] for c in codes if c != NOTHING]
            rows.append([("sequence", " ".join(f"[{w}]" if i == asked else w for i, w in enumerate(words)))])
        return rows


def questions(codes: Tensor, frame: Frame, words: list[int]) -> Tensor:
    """A question about each word of sequences ``(s, length)`` that have so many ``words``, as ``(q, 1 + length)``."""
    start = len(frame.before)
    asked = torch.tensor([start + i for n in words for i in range(n)])
    which = torch.arange(len(words)).repeat_interleave(torch.tensor(words))
    return torch.cat([asked[:, None], codes[which]], 1)


def word_frame(rows: Iterable[list[str]], plain: Frame, *, words: int, least: int = 1) -> Frame:
    """``plain``, a frame without words, with the words of sequences, most frequent first.

    Args:
        rows: the words of each training sequence, as they are written.
        plain: special tokens, length, how words are read.
        words: size of the vocabulary at most, special tokens included.
        least: times that a word must occur.
    """
    count = Counter(plain.spelt(word) for row in rows for word in row)
    common = [word for word, n in count.most_common() if n >= least and word not in plain.tokens]
    return replace(plain, tokens=(*plain.tokens, *common[: words - len(plain.tokens)]))


def as_split(name: str, frame: Frame, rows: list[list[str]], labels: list[list[int]], *, whole: bool) -> Split:
    """A split of sequences of words and their labels: one for each word, -1 for none, or one for each sequence."""
    codes = frame.pad(map(frame.encode, rows))
    y = torch.tensor([label for row in labels for label in row])
    if whole:
        return Split([f"{name}/{i:05d}" for i in range(len(rows))], y, x=codes)
    x, names = questions(codes, frame, [len(row) for row in rows]), []
    for i, row in enumerate(rows):
        names += [f"{name}/{i:05d}, word {p + 1}" for p in range(len(row))]
    kept = (y >= 0).nonzero()[:, 0]
    return Split(names, y, x=x).take(kept)
