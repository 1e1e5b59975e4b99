"""Part scores above chance: the score relative to its value under a null."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from zoo.metrics.base import Score, count
from zoo.metrics.parts.consistency import Consistency
from zoo.metrics.wrappers._kept_places import KeptPlaces
from zoo.metrics.wrappers._null_rows import base_rate, best_constant, read
from zoo.metrics.wrappers._nulls import active_under, places_under

RANDOM = ("permute", "shift", "uniform", "random_units")
FIXED = ("constant", "base_rate")
OF_LABELS = ("permute", "shift", "random_units", "base_rate")


class ChanceAdjusted(KeptPlaces):
    """A part score relative to chance: (s - E0) / (1 - E0), with s its value and E0 that of a null.

    1 is the best, 0 chance. A unit that is always at one place of a tight crop can reach 99 % of raw consistency, and
    about 0 above ``permute``. The nulls:

    ``permute``: places of a unit are exchanged among the instances on which it makes a claim. Its marginal
    distribution of locations is kept, its dependence on the image is not. Units that claim the same instances are
    exchanged alike, so that what they share is kept.
    ``shift``: on each instance all places are moved by one random step, around the border. Of labels: the instances, in
    the order of their ids, are shifted against their labels, so neighbors (tokens) stay neighbors; inside each sequence
    where ``update`` is given ``sequence_ids``.
    ``uniform``: random pixels. ``random_units``: on each instance, places are dealt out anew among the units.
    ``constant``: each unit at the best of 7 x 7 fixed places. ``base_rate``: each unit with the rates of all units
    together; of labels, with how common each is.

    Of ``Stability``, it is the place under the perturbation that is exchanged, in its first draw.

    Read-outs, for each read-out with an interval, the most informative first (``soft``): ``... adjusted``, as it is,
    ``... chance`` (mean over draws), and, where the null is random, ``... p``: share of draws, and of the score itself,
    that reach the score (one-sided).

    Args:
        score: a fresh ``Consistency``, ``LabelConsistency`` or ``Stability``.
        null: one of the above.
        draws: of a random null.

    Raises:
        ValueError: if there is no such null for the score.

    Example:
        One unit follows the part over an image of 100 x 100 pixels, and so is never right by chance.

        >>> places = torch.tensor([[[10, 10]], [[90, 90]], [[10, 90]], [[90, 10]]])
        >>> score = ChanceAdjusted(Consistency(1, 1), draws=9)
        >>> visible, ids = torch.ones(4, 1).bool(), torch.arange(4)
        >>> score.update(places, places.double(), visible, sample_ids=ids, size=(100, 100))
        >>> {name: round(float(score.compute()[name]), 2) for name in ("soft", "soft adjusted")}
        {'soft': 1.0, 'soft adjusted': 1.0}
    """

    title = "Above chance"
    meaning = "score above chance: 1 is perfect, 0 is the chance level"

    def __init__(self, score: Score, null: str = "permute", *, draws: int = 99) -> None:
        super().__init__(score)
        known = OF_LABELS if self.of_labels else RANDOM + FIXED[:1] if self.of_stability else RANDOM + FIXED
        if null not in known:
            raise ValueError(f"null is {null!r}; expected {', '.join(known)} for {type(score).__name__}")
        self.null = null
        self.draws = count("draws", draws)
        self.requires = score.requires
        self.tasks = score.tasks
        self.protocol = f"{score.protocol}/above-{null}"
        self.perturbations = score.perturbations[:1]

    def compute(self) -> dict[str, Tensor]:
        """The adjusted score and its read-outs; see the class."""
        nothing = torch.tensor(torch.nan, dtype=torch.float64, device=self.device)
        out: dict[str, Tensor] = {}
        rows = self.rows()
        raw = read(self.score, rows, rows["places"]) if rows else {}
        chance = self._fixed(rows) if rows and self.null in FIXED else {}
        draws = self.draws if rows and not chance else 0
        drawn = [read(self.score, rows, self.moved(rows, draw)) for draw in range(draws)]
        for name, (_, _, highest) in self.score.intervals.items():
            value = raw[name].double() if rows else nothing
            values = torch.stack([one[name].double() for one in drawn]) if drawn else nothing[None]
            level = chance.get(name, values.mean())
            room = highest - level
            out[f"{name} adjusted"] = (value - level) / room if bool(room > 1e-9) else 0 * level
            out |= {name: value, f"{name} chance": level}
            if self.null in RANDOM:
                reached = (values >= value - 1e-9).sum() + 1
                out[f"{name} p"] = reached.double() / (self.draws + 1) if drawn else nothing
        return out | {"support": self.samples}

    def describe(self, readouts: Mapping[str, float]) -> str:
        """Return the meaning, and each read-out with its chance level and p-value."""
        parts = [self.meaning]
        for name in readouts:
            if f"{name} chance" in readouts:
                p = f" (p = {readouts[f'{name} p']:.2g})" if f"{name} p" in readouts else ""
                parts.append(f"{name} {readouts[name]:.3g}, chance {readouts[f'{name} chance']:.3g}{p}")
        return "; ".join(parts)

    def moved(self, rows: dict[str, Tensor], draw: int) -> Tensor:
        """Places under one draw of a random null, from the rows of all samples."""
        if self.of_labels:
            return active_under(self.null, rows["places"], rows["index"], rows["sequence"], draw)
        where = rows["places"], rows["ids"], rows["gate"]
        return places_under(self.null, *where, rows["index"], draw, rows["size"])

    def _fixed(self, rows: dict[str, Tensor]) -> dict[str, Tensor]:
        """Chance levels by name, of a null without chance; the score holds the counts of the samples."""
        if self.null == "base_rate" and isinstance(self.score, Consistency):
            return base_rate(self.score)
        return best_constant(self.score, rows)
