"""Files of tagged words: a word and its tag per line, an empty line after each sentence."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.data.sequences._spans import as_iob2


class Sentence(NamedTuple):
    """A sentence or a piece of one.

    Attributes:
        words: the words as written.
        tags: tag of each word.
        number: number of the sentence in its file, from 1.
    """

    words: list[str]
    tags: list[str]
    number: int

    def pieces(self, room: int) -> list[Sentence]:
        """Return the sentence in the smallest number of pieces of up to ``room`` words, of about equal length."""
        n = len(self.words)
        count = -(-n // room)
        cuts = [round(i * n / count) for i in range(count + 1)]
        parts = zip(cuts, cuts[1:], strict=False)
        return [Sentence(self.words[a:b], self.tags[a:b], self.number) for a, b in parts]


def sentence_starts(pieces: Sequence[Sentence]) -> Tensor:
    """Return whether a sentence starts at each word ``(n,)`` bool of consecutive pieces."""
    first = [True, *(one.number != two.number for one, two in pairwise(pieces))]
    return torch.tensor([new and i == 0 for new, p in zip(first, pieces, strict=True) for i in range(len(p.words))])


def read_bio(file: Path) -> list[Sentence]:
    """Return the sentences of a file of words and tags, with IOB2 tags.

    Raises:
        ValueError: if the file has no sentence or a line is not a word and a tag; file and line are named.
    """
    text = (gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()).decode("utf-8")
    sentences: list[Sentence] = []
    words: list[str] = []
    tags: list[str] = []
    for i, line in enumerate([*text.splitlines(), ""], 1):
        if not line.strip():
            if words:
                sentences.append(Sentence(words, as_iob2(tags), len(sentences) + 1))
            words = []
            tags = []
            continue
        cells = line.split()
        if len(cells) != 2 or not (cells[1] == "O" or (cells[1][:2] in ("B-", "I-") and cells[1][2:])):
            raise ValueError(f"{file}, line {i}: {line!r}; expected a word and its tag: O, or B- or I- and a kind")
        words.append(cells[0])
        tags.append(cells[1])
    if not sentences:
        raise ValueError(
            f"{file} has no sentence; expected a word and its tag per line, and empty lines between sentences"
        )
    return sentences
