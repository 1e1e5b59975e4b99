"""Rows of samples that a null exchanges, and the value that a part score has for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from zoo.metrics.parts._localization import cells, hits
from zoo.metrics.parts.consistency import Consistency
from zoo.metrics.parts.label_consistency import LabelConsistency
from zoo.metrics.parts.stability import Stability

GRID = 7  # cells along each side that a constant place can be in
ROWS = 512  # samples whose places are compared with parts at a time

PartScore = Consistency | LabelConsistency | Stability


def ordered(states: Mapping[str, Tensor | Sequence[Tensor]]) -> dict[str, Tensor]:
    """Return the batches of each state as one tensor, in the order of sample ids.

    Args:
        states: batches of rows by name; ``index`` holds the sample ids.

    Raises:
        ValueError: if images differ in size.

    Example:
        >>> ordered({"index": [torch.tensor([3, 1])], "gate": [torch.tensor([[True], [False]])]})["gate"].tolist()
        [[False], [True]]
    """
    batches = {name: [x] if isinstance(x, Tensor) else x for name, x in states.items()}
    order = torch.cat(tuple(batches["index"])).argsort(stable=True)
    rows = {name: _stack(x)[order] for name, x in batches.items()}
    if "size" in rows and len(sizes := rows["size"].unique(dim=0)) > 1:
        raise ValueError(f"images are of {len(sizes)} sizes; places can be exchanged among images of one")
    return rows


def read(score: PartScore, rows: Mapping[str, Tensor], places: Tensor) -> dict[str, Tensor]:
    """Return the read-outs of a score that is reset and updated with other places.

    Args:
        score: the part score.
        rows: of ``ordered``.
        places: ``(n, k, 2)`` pixels of units; of labels ``(n, u)`` bool, whether each unit is active.
    """
    score.reset()
    if isinstance(score, LabelConsistency):
        score.update(places, rows["points"])
        return LabelConsistency.compute(score)
    height, width = rows["size"][0].tolist()
    for chunk in torch.arange(len(places), device=places.device).split(ROWS):
        visible = rows["visible"][chunk]
        met = hits(places[chunk], rows["points"][chunk], visible, size=(height, width))
        ids = rows["ids"][chunk].clamp_min(0)
        gate = rows["gate"][chunk]
        if isinstance(score, Stability):
            before = rows["before"][chunk] & visible[:, None]
            score.update(before, met, ids, gate, gate_after=rows["gate_after"][chunk])
        else:
            score.update(met, visible, ids, gate)
    if isinstance(score, Consistency):
        return Consistency.compute(score)
    readouts = Stability.compute(score)
    shares = readouts["unit/stability"]
    readouts["stability"] = 100 * shares[shares.isfinite()].mean()  # of one draw, however many the score has
    return readouts


def base_rate(score: Consistency) -> dict[str, Tensor]:
    """Return the levels of units that all have the rates of all units together; of labels, how common each is."""
    counts = score.counts()
    met, of = counts.hit.sum(0), counts.shown.sum(0)
    if isinstance(score, LabelConsistency):
        met, of = counts.present, score.known
    rate = (met.double() / of.clamp_min(1)).max()
    return {"soft": rate, "consistency": 100 * (rate >= score.tau).double()}


def best_constant(score: PartScore, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the levels of units that are each at the best of 7 x 7 fixed places."""
    height, width = rows["size"][0].tolist()
    spots = cells(torch.arange(GRID**2, device=rows["places"].device), (GRID, GRID), (height, width))
    readouts = [read(score, rows, spot.expand_as(rows["places"])) for spot in spots]
    levels = {}
    for name, (vector, _, highest) in score.intervals.items():
        values = torch.stack([one[vector].double() for one in readouts]).amax(0)
        levels[name] = highest * values[values.isfinite()].mean()
    return levels


def _stack(rows: Sequence[Tensor]) -> Tensor:
    """Rows of batches; those with fewer units than others are filled up with zeros, which make no claim."""
    if rows[0].ndim < 2:
        return torch.cat(tuple(rows))
    width = max(x.shape[1] for x in rows)
    return torch.cat([pad(x, [0, 0] * (x.ndim - 2) + [0, width - x.shape[1]]) for x in rows])
