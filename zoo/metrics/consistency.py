"""Part consistency: does a unit look at the same part of the object in every image?"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.metrics.base import Score, Seen, claims, count, expect, fraction


class Consistency(Score):
    """Share of units that look at one and the same part, in per cent.

    With hits H and visible parts n counted over the instances on which a unit makes a claim, r = H / n is the
    unit's rate on a part. A unit is consistent if some part with n >= ``support`` has r >= ``tau``. The mean runs
    over all units, also those that were never seen. From Huang et al., "Evaluation and Improvement of
    Interpretability for Self-Explainable Part-Prototype Networks", ICCV 2023; both releases of its code count
    alike.

    Further read-outs, in 0..1 unless said otherwise: ``soft`` mean over units of the best rate; ``coverage`` mean
    over parts of the best unit's F1 = 2 H / (F + V) (F claims of the unit, V images that show the part); ``purity``
    mean over claiming units of max H / F; ``detectors`` units with IoU = H / (F + V - H) >= 0.04 on some part;
    ``labelled`` units with a part of r >= 0.95 and H >= 10; ``dead`` units without a claim; ``unevaluable`` units
    with n = 0 throughout (the last four are counts). Per unit: ``unit/rate`` best rate, ``unit/part`` its part (-1
    if there is none), ``unit/support`` n behind it, ``unit/claims`` F.

    Args:
        num_units: u.
        part_count: p.
        tau: rate from which a part counts, in 0..1.
        support: least number of visible instances behind a rate.
        protocol: published definition. The id printed adds ``tau`` and ``support`` where they differ from it:
            ``huang2023-v2/tau0.5/support10``.

    Raises:
        ValueError: if an argument is out of range.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"units", "parts"})

    def __init__(
        self,
        num_units: int,
        part_count: int,
        *,
        tau: float = 0.8,
        support: int = 1,
        protocol: Literal["huang2023-v2", "huang2023-v1"] = "huang2023-v2",
    ) -> None:
        super().__init__()
        if protocol not in ("huang2023-v2", "huang2023-v1"):
            raise ValueError(f"protocol is {protocol!r}; expected huang2023-v2 or huang2023-v1")
        self.num_units, self.part_count = count("num_units", num_units), count("part_count", part_count)
        self.tau, self.support = fraction("tau", tau), count("support", support)
        self.protocol = self._variant(protocol, tau=self.tau, support=self.support)
        self._sum("hit", num_units, part_count)
        self._sum("shown", num_units, part_count)
        self._sum("fired", num_units)
        self._sum("present", part_count)

    def update(
        self,
        hits: Tensor,
        visible: Tensor,
        unit_ids: Tensor | None = None,
        gate: Tensor | None = None,
        sample_ids: Tensor | None = None,
    ) -> None:
        """Count a batch.

        Args:
            hits: ``(b, k, p)`` bool, whether the place of a unit meets a part; those of invisible parts do not count.
            visible: ``(b, p)`` bool.
            unit_ids: ``(b, k)`` int64, -1 for padding; None if the columns are all units in order (k = u).
            gate: ``(b, k)`` bool, whether the unit makes a claim on the instance; None if it always does.
            sample_ids: ``(b,)`` identity of each instance. Counts do not depend on it.

        Raises:
            ValueError: if a shape does not fit or an id is not that of a unit.
        """
        expect("hits", hits, None, None, self.part_count)
        expect("visible", visible, len(hits), self.part_count)
        if sample_ids is not None:
            expect("sample_ids", sample_ids, len(hits))
        hits, visible = hits.to(self.device).bool(), visible.to(self.device).bool()
        ids, real = claims(unit_ids, gate, hits, self.num_units)
        if unit_ids is None:
            hit = (hits & visible[:, None] & real[..., None]).sum(0)
            shown = (real.double().T @ visible.double()).long()
            fired = real.sum(0)
        else:
            flat, here = ids.flatten(), (visible[:, None] & real[..., None])
            hit = torch.zeros_like(self.hit).index_add_(0, flat, (hits & here).flatten(0, 1).long())
            shown = torch.zeros_like(self.shown).index_add_(0, flat, here.flatten(0, 1).long())
            fired = torch.zeros_like(self.fired).index_add_(0, flat, real.flatten().long())
        self.hit, self.shown, self.fired = self.hit + hit, self.shown + shown, self.fired + fired
        self.present = self.present + visible.sum(0)
        self.samples = self.samples + len(hits)

    def feed(self, seen: Seen, changed: Seen | None = None, draw: int = 0) -> None:
        """Count what a suite saw."""
        self.update(seen.hits, seen.batch.visible, seen.explanation.shown, seen.gate, seen.batch.index)

    def compute(self) -> dict[str, Tensor]:
        """The score and its read-outs; see the class."""
        hit, shown = self.hit.double(), self.shown.double()
        fired, present = self.fired.double()[:, None], self.present.double()
        enough = self.shown >= self.support
        rate = torch.where(enough, hit / shown.clamp_min(1), 0)
        best, part = rate.max(1)
        union = (fired + present - hit).clamp_min(1)
        claimed = self.fired > 0
        seen = self.shown.sum(1) > 0
        return {
            "consistency": 100 * (enough & (rate >= self.tau)).any(1).double().mean(),
            "soft": best.mean(),
            "coverage": (2 * hit / (fired + present).clamp_min(1)).amax(0).mean(),
            "purity": (hit / fired.clamp_min(1)).amax(1).sum() / claimed.sum().clamp_min(1),
            "detectors": (hit / union >= 0.04).any(1).sum(),
            "labelled": ((rate >= 0.95) & (self.hit >= 10)).any(1).sum(),
            "dead": (~claimed).sum(),
            "unevaluable": (~seen).sum(),
            "support": self.samples,
            "unit/rate": best,
            "unit/part": torch.where(seen, part, -1),
            "unit/support": self.shown.gather(1, part[:, None])[:, 0],
            "unit/claims": self.fired,
        }
