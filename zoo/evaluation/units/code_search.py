"""Codes that predict a topic, and the effect of setting them on the texts that a model generates.

The search is that of Tamkin, Taufeeque, Goodman (2023): a regular expression marks positions of b texts of t tokens,
and the u codes are ranked by their precision there, among those with a recall above 1 %.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

TEXTS = 1000  # texts read at most, with the topic and without
BATCH = 16  # texts of a pass
MIN_RECALL = 0.01
FALSE_POSITIVES = 2  # added to those of every code: a few chance hits of a rare code do not rank it first


class Found(NamedTuple):
    """A code that is selected where a topic follows.

    Attributes:
        unit: id.
        precision: share of the positions where it is selected that the topic follows.
        recall: share of the positions that the topic follows where it is selected.
        fired: estimated number of positions of all texts where it is selected.
    """

    unit: int
    precision: float
    recall: float
    fired: int


def topic(pattern: str) -> re.Pattern[str]:
    """Return a compiled regular expression.

    Raises:
        ValueError: if it is none, or matches the empty text.

    Example:
        >>> topic("dragons?").pattern
        'dragons?'
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    if compiled.search("") is not None:
        raise ValueError(f"{pattern!r} matches the empty text; give words such as '\\bdragons?\\b'")
    return compiled


def marked(texts: Sequence[Sequence[str]], of: re.Pattern[str]) -> Tensor:
    """Return which tokens of texts (t each) overlap a match: ``(b, t)`` bool.

    Example:
        >>> marked([["a ", "dr", "agon", "!"]], topic("dragon")).tolist()
        [[False, True, True, False]]
    """
    marks = torch.zeros(len(texts), len(texts[0]) if texts else 0, dtype=torch.bool)
    for row, tokens in enumerate(texts):
        ends = np.cumsum([len(token) for token in tokens])
        for match in of.finditer("".join(tokens)):
            first = np.searchsorted(ends, match.start(), "right")
            last = np.searchsorted(ends, match.end(), "left")
            marks[row, first : last + 1] = True
    return marks


@torch.no_grad()
def measure(model: Any, windows: Tensor, marks: Tensor) -> tuple[Tensor, Tensor, float]:
    """Return how often every code is selected, and where ``marks`` is true, ``(u,)`` each; the number of marks.

    Of the texts with a mark and of those without, at most ``TEXTS`` are read, and weighted to represent all of them.

    Args:
        model: with ``chosen``; in eval mode.
        windows: ``(b, t)`` tokens.
        marks: ``(b, t)`` bool.
    """
    fired, hits = (torch.zeros(len(model.units), dtype=torch.float64) for _ in range(2))
    total = 0.0
    for stratum in (marks.any(1), ~marks.any(1)):
        rows = stratum.nonzero()[:, 0]
        read = rows[:: -(-len(rows) // TEXTS) or 1]
        weight = len(rows) / max(1, len(read))
        total += weight * float(marks[read].sum())
        for chunk in read.split(BATCH) if len(read) else ():
            ids = model.chosen(windows[chunk].to(model.device)).cpu()
            fired += weight * torch.bincount(ids.flatten(), minlength=len(fired))
            hits += weight * torch.bincount(ids[marks[chunk]].flatten(), minlength=len(hits))
    return fired, hits, total


def search(model: Any, data: Any, of: re.Pattern[str], *, count: int) -> tuple[list[Found], list[Found]]:
    """Return the most precise codes for a topic, with precision and recall on training and on validation texts.

    They are ranked on training texts; ``FALSE_POSITIVES`` are added to those of every code.

    Args:
        model: of codes, in eval mode.
        data: where the texts are from.
        of: the topic.
        count: number of codes.

    Raises:
        ValueError: if no training text contains the topic, or ``count`` is less than 1.
    """
    if count < 1:
        raise ValueError(f"--codes is {count}; expected 1 or more")
    counts = []
    for split in ("train", "val"):
        windows = data.windows(split)
        marks = marked(data.token_texts(windows), of)[:, 1:]  # what follows each position
        if split == "train" and not marks.any():
            raise ValueError(f"{of.pattern!r} is nowhere in {len(windows)} training texts")
        counts.append(measure(model, windows[:, :-1], marks))
    fired, hits, marks = counts[0]
    rank = torch.where(hits > MIN_RECALL * marks, hits / (fired + FALSE_POSITIVES), -1)
    units = [unit for unit in rank.argsort(descending=True)[:count].tolist() if rank[unit] > 0]
    train, val = ([_found(u, *split_counts) for u in units] for split_counts in counts)
    return train, val


def _found(unit: int, fired: Tensor, hits: Tensor, marks: float) -> Found:
    both = float(hits[unit])
    own = float(fired[unit])
    return Found(unit, both / own if own else math.nan, both / marks if marks else math.nan, round(own))


@dataclass
class Steered:
    """A model with codes set at every position, as ``Data.nats`` reads it."""

    model: Any
    held: Mapping[int, float]

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return self.model.device

    def position_logits(self, x: Tensor) -> Tensor:
        """Return logits ``(b, t, c)`` after every position of whole contexts."""
        return self.model.decoder(x, self.model.holding(self.held))


@torch.no_grad()
def likely(judge: Any, x: Tensor, new: Tensor) -> float:
    """Return the perplexity under ``judge`` of tokens ``new`` ``(b, n)`` after prompts ``x`` ``(b, t)``."""
    whole = torch.cat([x, new], 1)
    logits = judge.position_logits(whole[:, :-1].to(judge.device))[:, x.shape[1] - 1 :].cpu()
    return float(F.cross_entropy(logits.flatten(0, 1).double(), new.flatten()).exp())


def share(data: Any, new: Tensor, of: re.Pattern[str]) -> float:
    """Return the share of texts ``new`` ``(b, n)`` that contain the topic."""
    return sum(of.search("".join(data.class_names[i] for i in row)) is not None for row in new.tolist()) / len(new)


def continuation(data: Any, x: Tensor, tokens: Tensor) -> str:
    """Return new tokens ``(1, n)`` as text, decoded with the context ``(1, t)`` before them."""
    whole = torch.cat([x, tokens], 1)
    context = F.pad(whole, (0, data.context - x.shape[1]), value=-1)
    return "".join(data.token_texts(context)[0][x.shape[1] :])
