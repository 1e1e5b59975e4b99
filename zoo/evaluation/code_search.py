"""Codes that speak of a topic, and what holding them on does to what a model writes.

The search is that of Tamkin, Taufeeque, Goodman (2023): a regular expression marks positions of b texts of t tokens,
and the u codes are ranked by how precisely they fire there, among those that catch more than 1 % of the places.
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

TEXTS, AT_ONCE, LEAST = 1000, 16, 0.01  # texts read at most, with the topic and without; of a pass; recall asked for


class Found(NamedTuple):
    """A code that fires where a topic is about to be written.

    Attributes:
        unit: id.
        precision: share of the positions where it fires that the topic follows.
        recall: share of the positions that the topic follows where it fires.
        fired: at how many positions of all texts, about.
    """

    unit: int
    precision: float
    recall: float
    fired: int


def topic(pattern: str) -> re.Pattern[str]:
    """A regular expression.

    Raises:
        ValueError: if it is none, or matches the empty text.
    """
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    if found.search("") is not None:
        raise ValueError(f"{pattern!r} matches the empty text; give words such as '\\bdragons?\\b'")
    return found


def marked(texts: Sequence[Sequence[str]], of: re.Pattern[str]) -> Tensor:
    """Which tokens of texts (t each) are of a match, wholly or in part: ``(b, t)`` bool."""
    found = torch.zeros(len(texts), len(texts[0]) if texts else 0, dtype=torch.bool)
    for row, tokens in enumerate(texts):
        ends = np.cumsum([len(token) for token in tokens])
        for match in of.finditer("".join(tokens)):
            first, last = np.searchsorted(ends, match.start(), "right"), np.searchsorted(ends, match.end(), "left")
            found[row, first : last + 1] = True
    return found


@torch.no_grad()
def measure(model: Any, windows: Tensor, marks: Tensor) -> tuple[Tensor, Tensor, float]:
    """How often every code fires, and how often where ``marks`` is true, ``(u,)`` each; how many places are marked.

    Of the texts with a mark and of those without, ``TEXTS`` are read at most, and stand for all of their kind.

    Args:
        model: with ``chosen``; in eval mode.
        windows: ``(b, t)`` tokens.
        marks: ``(b, t)`` bool.
    """
    fired, hits = (torch.zeros(len(model.units), dtype=torch.float64) for _ in range(2))
    total = 0.0
    for kind in (marks.any(1), ~marks.any(1)):
        rows = kind.nonzero()[:, 0]
        read = rows[:: -(-len(rows) // TEXTS) or 1]
        weight = len(rows) / max(1, len(read))
        total += weight * float(marks[read].sum())
        for some in read.split(AT_ONCE) if len(read) else ():
            ids = model.chosen(windows[some].to(model.device)).cpu()
            fired += weight * torch.bincount(ids.flatten(), minlength=len(fired))
            hits += weight * torch.bincount(ids[marks[some]].flatten(), minlength=len(hits))
    return fired, hits, total


def search(model: Any, data: Any, of: re.Pattern[str], *, count: int) -> tuple[list[Found], list[Found]]:
    """The codes that fire most precisely where the topic follows, as found on training and met on validation texts.

    To rank, two false alarms are added to those of every code: one that fired a few times by chance does not win.

    Args:
        model: of codes, in eval mode.
        data: where the texts are from.
        of: the topic.
        count: how many codes.

    Raises:
        ValueError: if no training text is of the topic, or ``count`` is less than 1.
    """
    if count < 1:
        raise ValueError(f"--codes is {count}; expected 1 or more")
    told = []
    for split in ("train", "val"):
        windows = data.windows(split)
        marks = marked(data.token_texts(windows), of)[:, 1:]  # what follows each position
        if split == "train" and not marks.any():
            raise ValueError(f"{of.pattern!r} is nowhere in {len(windows)} training texts")
        told.append(measure(model, windows[:, :-1], marks))
    fired, hits, marks = told[0]
    rank = torch.where(hits > LEAST * marks, hits / (fired + 2), -1)
    units = [unit for unit in rank.argsort(descending=True)[:count].tolist() if rank[unit] > 0]
    return tuple([_found(u, *seen) for u in units] for seen in told)


def _found(unit: int, fired: Tensor, hits: Tensor, marks: float) -> Found:
    both, own = float(hits[unit]), float(fired[unit])
    return Found(unit, both / own if own else math.nan, both / marks if marks else math.nan, round(own))


@dataclass
class Steered:
    """A model with codes held on or off at every position; what ``Data.nats`` asks of a model."""

    model: Any
    held: Mapping[int, bool]

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.model.device

    def position_logits(self, x: Tensor) -> Tensor:
        """Logits ``(b, t, c)`` after every position of whole contexts."""
        return self.model.decoder(x, self.model.holding(self.held))


@torch.no_grad()
def likely(judge: Any, x: Tensor, new: Tensor) -> float:
    """Perplexity under ``judge`` of tokens ``new`` ``(b, n)`` behind prompts ``x`` ``(b, t)`` of one length."""
    whole = torch.cat([x, new], 1)
    logits = judge.position_logits(whole[:, :-1].to(judge.device))[:, x.shape[1] - 1 :].cpu()
    return float(F.cross_entropy(logits.flatten(0, 1).double(), new.flatten()).exp())


def share(data: Any, new: Tensor, of: re.Pattern[str]) -> float:
    """Share of texts ``new`` ``(b, n)`` that are of the topic."""
    return sum(of.search("".join(data.class_names[i] for i in row)) is not None for row in new.tolist()) / len(new)
