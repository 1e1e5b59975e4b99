"""Part scores above chance: the score relative to its value under a null."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from zoo.metrics.base import Record, Score, claims, count, expect
from zoo.metrics.parts._localization import cells, hits
from zoo.metrics.parts.consistency import Consistency
from zoo.metrics.parts.label_consistency import LabelConsistency
from zoo.metrics.parts.stability import Stability
from zoo.metrics.wrappers._nulls import fires_under, places_under

GRID = 7  # cells along each side that a constant place can be in
ROWS = 512  # samples whose places meet parts at a time
RANDOM, FIXED = ("permute", "shift", "uniform", "random_units"), ("constant", "base_rate")


class ChanceAdjusted(Score):
    """A part score relative to chance: (s - E0) / (1 - E0), with s its value and E0 that of a null.

    1 is the best, 0 chance; a unit that is at one place of a tight crop, whatever the image shows, can reach 99 % of
    raw consistency and comes to about 0 above ``permute``. The nulls:

    ``permute``: places of a unit are exchanged among the instances on which it makes a claim. Its marginal
    distribution of locations is kept, its dependence on the image is not. Units that claim the same instances are
    exchanged alike, so that what they share is kept.
    ``shift``: on each instance all places are moved by one random step, around the border. Of labels: the instances, in
    the order of their ids, are shifted against their labels, so neighbors (tokens) stay neighbors.
    ``uniform``: random pixels. ``random_units``: on each instance, places are dealt out anew among the units.
    ``constant``: each unit at the best of 7 x 7 fixed places. ``base_rate``: each unit with the rates of all units
    together; of labels, with how common each is.

    Of ``Stability``, it is the place under the perturbation that is exchanged, in its first draw.

    Read-outs, for each read-out with an interval, the most informative first (``soft``): ``... adjusted``, as it is,
    ``... chance`` (mean over draws), and, where the null is random, ``... p``: share of draws, and of the score itself,
    that reach the score (one-sided).

    Args:
        score: a fresh ``Consistency``, ``LabelConsistency`` or ``Stability``.
        null: of the above.
        draws: of a random null.

    Raises:
        ValueError: if there is no such null for the score.
    """

    title = "Above chance"
    meaning = "score above chance: 1 is perfect, 0 is the chance level"

    def __init__(self, score: Score, null: str = "permute", *, draws: int = 99) -> None:
        super().__init__()
        if not isinstance(score, Consistency | Stability):
            raise ValueError(f"{type(score).__name__} has no chance level; expected a consistency or a stability")
        self.fire, self.pair = isinstance(score, LabelConsistency), isinstance(score, Stability)
        known = [n for n in RANDOM + FIXED if not (self.fire and n in ("uniform", "constant"))]
        known = known[:-1] if self.pair else known
        if null not in known:
            raise ValueError(f"null is {null!r}; expected {', '.join(known)} for {type(score).__name__}")
        self.score, self.null, self.draws = score, null, count("draws", draws)
        self.requires = score.requires  # pyright: ignore[reportAttributeAccessIssue]
        self.protocol, self.perturbations = f"{score.protocol}/above-{null}", score.perturbations[:1]
        self.names = ["index", "places", "points", "visible"]
        self.names += [] if self.fire else ["ids", "gate", "size", *(["before", "gate_after"] if self.pair else [])]
        for name in self.names:
            self._rows(name)

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Keep the samples of a record."""
        batch, explanation = record.batch, record.explanation
        if isinstance(self.score, LabelConsistency):
            return self.update(self.score.fires(record), self.score.labels(record), sample_ids=batch.index)
        peaks, hits, points, visible = record.located
        more: dict[str, Any] = {"size": record.size, "sample_ids": batch.index}
        if changed is None:
            return self.update(peaks, points, visible, explanation.shown, record.gate, **more)
        changed_peaks, _, changed_points, still_visible = changed.located
        more |= {"before": hits, "gate_after": changed.gate}
        both = visible & still_visible
        return self.update(changed_peaks, changed_points, both, explanation.shown, record.gate, **more)

    def update(
        self,
        places: Tensor,
        points: Tensor,
        visible: Tensor | None = None,
        unit_ids: Tensor | None = None,
        gate: Tensor | None = None,
        *,
        sample_ids: Tensor,
        size: tuple[int, int] | None = None,
        before: Tensor | None = None,
        gate_after: Tensor | None = None,
    ) -> None:
        """Keep a batch.

        Args:
            places: ``(b, k, 2)`` (x, y) pixel of each unit. Of labels: ``(b, u)`` bool, whether each unit is active.
            points: ``(b, p, 2)`` keypoints in pixels. Of labels: ``(b, m)`` the labels, NaN for unknown.
            visible: ``(b, p)`` bool; not used for labels.
            unit_ids: ``(b, k)`` int64, -1 for padding; None if the columns are all units in order.
            gate: ``(b, k)`` bool, whether the unit makes a claim; None if it always does.
            sample_ids: ``(b,)`` int64 identity of each instance, all different.
            size: (height, width) of the input, in pixels.
            before: ``(b, k, p)`` bool parts hit without the perturbation, if places are those under one.
            gate_after: ``(b, k)`` bool, whether the unit still makes a claim under it.

        Raises:
            ValueError: if a shape does not fit or something is missing.
        """
        b = len(places)
        expect("sample_ids", sample_ids, b)
        rows = {"index": sample_ids, "places": places, "points": points, "visible": visible}
        if self.fire:
            expect("places", places, None, self.score.num_units)
            expect("points", points, b, self.score.part_count)
            rows["visible"] = ~points.isnan()
        else:
            expect("places", places, None, None, 2)
            expect("points", points, b, self.score.part_count, 2)
            if visible is None or size is None or (self.pair and before is None):
                raise ValueError("places need visible and size, and for stability before; see update")
            expect("visible", visible, b, self.score.part_count)
            like = places[..., :1].expand(-1, -1, self.score.part_count)
            ids, real = claims(unit_ids, gate, like, self.score.num_units)
            sides = torch.tensor(size).expand(b, 2)
            rows |= {"ids": ids.expand(real.shape), "gate": real, "size": sides, "before": before}
            rows["gate_after"] = real if gate_after is None else gate_after
        for name in self.names if b else ():
            getattr(self, name).append(rows[name].detach().to(self.device))
        self.samples = self.samples + b

    def compute(self) -> dict[str, Tensor]:
        """The adjusted score and its read-outs; see the class."""
        ends = self.score.intervals
        nothing = torch.tensor(torch.nan, dtype=torch.float64, device=self.device)
        out: dict[str, Tensor] = {}
        rows = self.rows()
        raw = self._read(rows, rows["places"]) if rows else {}
        chance = self._fixed(rows) if rows and self.null in FIXED else {}
        again = [self._read(rows, self.moved(rows, d)) for d in range(self.draws if rows and not chance else 0)]
        for name, (_, _, most) in ends.items():
            value = raw[name].double() if rows else nothing
            drawn = torch.stack([one[name].double() for one in again]) if again else nothing[None]
            level = chance.get(name, drawn.mean())
            room = most - level
            out[f"{name} adjusted"] = (value - level) / room if bool(room > 1e-9) else 0 * level
            out |= {name: value, f"{name} chance": level}
            if self.null in RANDOM:
                reached = (drawn >= value - 1e-9).sum() + 1
                out[f"{name} p"] = reached.double() / (self.draws + 1) if again else nothing
        return out | {"support": self.samples}

    def describe(self, readouts: Mapping[str, float]) -> str:
        """Return the meaning, and each read-out with its chance level and p-value."""
        parts = [self.meaning]
        for name in readouts:
            if f"{name} chance" in readouts:
                p = f" (p = {readouts[f'{name} p']:.2g})" if f"{name} p" in readouts else ""
                parts.append(f"{name} {readouts[name]:.3g}, chance {readouts[f'{name} chance']:.3g}{p}")
        return "; ".join(parts)

    def rows(self) -> dict[str, Tensor]:
        """Everything that was kept, in the order of sample ids; empty where nothing was record."""
        if not self.index:
            return {}
        rows = {name: getattr(self, name) for name in self.names}
        rows = {name: [x] if isinstance(x, Tensor) else x for name, x in rows.items()}
        order = torch.cat(rows["index"]).argsort(stable=True)
        rows = {name: _stack(x)[order] for name, x in rows.items()}
        if not self.fire and len(sizes := rows["size"].unique(dim=0)) > 1:
            raise ValueError(f"images are of {len(sizes)} sizes; places can be exchanged among images of one")
        return rows

    def _read(self, rows: dict[str, Tensor], places: Tensor) -> dict[str, Tensor]:
        """The score of these locations."""
        self.score.reset()
        if self.fire:
            self.score.update(places, rows["points"])
        else:
            size = tuple(rows["size"][0].tolist())
            for some in torch.arange(len(places), device=places.device).split(ROWS):
                visible = rows["visible"][some]
                met = hits(places[some], rows["points"][some], visible, size=size)
                ids, gate = rows["ids"][some].clamp_min(0), rows["gate"][some]
                if self.pair:
                    was = rows["before"][some] & visible[:, None]
                    self.score.update(was, met, ids, gate, gate_after=rows["gate_after"][some])
                else:
                    self.score.update(met, visible, ids, gate)
        found = type(self.score).compute(self.score)
        if self.pair:  # of one draw, however many the score has
            shares = found["unit/stability"]
            found["stability"] = 100 * shares[shares.isfinite()].mean()
        return found

    def moved(self, rows: dict[str, Tensor], draw: int) -> Tensor:
        """Places under one draw of a random null, from the rows of all samples."""
        if self.fire:
            return fires_under(self.null, rows["places"], rows["index"], draw)
        where = rows["places"], rows["ids"], rows["gate"]
        return places_under(self.null, *where, rows["index"], draw, rows["size"])

    def _fixed(self, rows: dict[str, Tensor]) -> dict[str, Tensor]:
        """Chance levels by name, of a null without chance."""
        if self.null == "base_rate":
            counts = self.score.counts()
            met, of = (counts.present, self.score.known) if self.fire else (counts.hit.sum(0), counts.shown.sum(0))
            rate = (met.double() / of.clamp_min(1)).max()
            return {"soft": rate, "consistency": 100 * (rate >= self.score.tau).double()}
        size = tuple(rows["size"][0].tolist())
        spots = cells(torch.arange(GRID**2, device=self.device), (GRID, GRID), size)
        found = [self._read(rows, spot.expand_as(rows["places"])) for spot in spots]
        best = {}
        for name, (vector, _, most) in self.score.intervals.items():
            values = torch.stack([one[vector].double() for one in found]).amax(0)
            best[name] = most * values[values.isfinite()].mean()
        return best


def _stack(rows: list[Tensor]) -> Tensor:
    """Rows of batches; those with fewer units than others are filled up with zeros, which make no claim."""
    if rows[0].ndim < 2:
        return torch.cat(rows)
    width = max(x.shape[1] for x in rows)
    return torch.cat([pad(x, [0, 0] * (x.ndim - 2) + [0, width - x.shape[1]]) for x in rows])
