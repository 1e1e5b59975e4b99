"""Files of tagged words: a word and its tag per line, an empty line after each sentence."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.data.file_readers import not_utf8, open_text
from zoo.data.sequences._spans import as_iob2
from zoo.inputs.packed_files import DAMAGED
from zoo.inputs.texts.tokenizers import split_words

DOCUMENT = "-DOCSTART-"  # begins a document in files of CoNLL
AS_IOB = {"B-": "B-", "I-": "I-", "E-": "I-", "S-": "B-", "L-": "I-", "U-": "B-"}  # first letters of BIOES and BILOU


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

    Lines end with line feeds and cells are separated by spaces or tabs; other separators, such as a no-break space, are
    part of a word. The first cell is the word and the last one its tag; all lines have the same number of cells, as in
    the four columns of CoNLL, whose ``-DOCSTART-`` lines are left out. IOB1, IOB2, BIOES and BILOU tags are read.

    Raises:
        ValueError: if the file is damaged, not UTF-8, has no sentence, or a line is not a word and a tag; file and line
            are named.
    """
    try:
        with open_text(file, newline="\n") as content:
            text = content.read()
    except UnicodeDecodeError as error:
        raise not_utf8(file, error) from error
    except DAMAGED as error:
        raise ValueError(f"{file} is damaged or cannot be read: {error}") from error
    sentences: list[Sentence] = []
    words: list[str] = []
    tags: list[str] = []
    columns = 0
    for i, line in enumerate([*text.split("\n"), ""], 1):
        cells = split_words(line)
        if not cells or cells[0] == DOCUMENT:
            if words:
                sentences.append(Sentence(words, as_iob2(tags), len(sentences) + 1))
            words = []
            tags = []
            continue
        tag = cells[-1]
        if len(cells) < 2 or not (tag == "O" or (tag[:2] in AS_IOB and tag[2:])):
            raise ValueError(
                f"{file}, line {i}: {line.strip()!r}; expected a word and its tag: O, or B- or I- and a kind"
                " (BIOES and BILOU are read too)"
            )
        columns = columns or len(cells)
        if len(cells) != columns:
            raise ValueError(
                f"{file}, line {i}: {line.strip()!r} has {len(cells)} cells; the lines before have {columns}"
            )
        words.append(cells[0])
        tags.append(tag if tag == "O" else AS_IOB[tag[:2]] + tag[2:])
    if not sentences:
        raise ValueError(
            f"{file} has no sentence; expected a word and its tag per line, and empty lines between sentences"
        )
    return sentences
