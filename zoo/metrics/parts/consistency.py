"""Part consistency: does a unit match the same object part in every image?

Source: Huang et al., Evaluation and Improvement of Interpretability for Self-Explainable Part-Prototype Networks, ICCV
2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from zoo.metrics.base import Record, Score, claims, count, expect, fraction
from zoo.metrics.parts._counts import Counts
from zoo.registry import register


@register
class Consistency(Score):
    """Share of units that consistently match one object part, in percent.

    With hits H and visible parts n counted over the instances on which a unit makes a claim, r = H / n is the
    unit's rate on a part. A unit is consistent if some part with n >= ``support`` has r >= ``tau``. The mean runs
    over all units, also those that never make a claim. From Huang et al., "Evaluation and Improvement of
    Interpretability for Self-Explainable Part-Prototype Networks", ICCV 2023; both releases of its code count
    alike.

    Further read-outs, in 0..1 unless stated otherwise: ``soft`` mean over units of the best rate; ``coverage`` mean
    over parts of the best unit's F1 = 2 H / (F + V) (F claims of the unit, V images that show the part); ``purity``
    mean over claiming units of max H / F; ``f1`` and ``iou`` mean over claiming units of the best F1 and the best
    IoU = H / (F + V - H); ``precision`` r and ``recall`` H / V of the part with the best F1, mean over claiming units;
    ``detectors`` units with IoU >= 0.04 on some part; ``labelled`` units with a part of r >= 0.95 and H >= 10, and
    ``labels`` the number of such (unit, part) pairs; ``dead`` units without a claim; ``unevaluable`` units with n = 0
    throughout (the last five are counts); ``aligned``, if asked for, percent of the units with a part of their own
    that have r >= ``tau`` on that one. Per unit: ``unit/rate`` best rate, ``unit/part`` its part (-1 if there is
    none), ``unit/support`` n behind it, ``unit/claims`` F, ``unit/consistent`` 1 or 0.

    Args:
        num_units: u.
        part_count: p.
        tau: rate from which a part counts, in 0..1.
        support: minimum number of visible instances behind a rate.
        protocol: published definition. The id printed adds ``tau`` and ``support`` where they differ from it:
            ``huang2023-v2/tau0.5/support10``.
        aligned: part that each unit is meant to match, -1 for none; adds the read-out of that name.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        Two units and one part in four images: unit 0 hits it always, unit 1 once.

        >>> score = Consistency(2, 1)
        >>> hits = torch.tensor([[[1], [1]], [[1], [0]], [[1], [0]], [[1], [0]]]).bool()
        >>> score.update(hits, torch.ones(4, 1).bool())
        >>> {name: float(score.compute()[name]) for name in ("consistency", "soft")}
        {'consistency': 50.0, 'soft': 0.625}
    """

    title = "Consistency"
    meaning = "share of units that consistently match one object part"
    unit = "%"
    unit_readouts = {"rate": "matches one part"}
    unit_pass_rate = "rate"
    requires = frozenset({"units", "parts"})
    inputs = {
        "hits": "binary",
        "visible": "binary",
        "unit_ids": "unit",
        "gate": "binary",
        "sample_ids": "ids",
    }
    intervals = {
        "soft": ("unit/rate", 0, 1),
        "consistency": ("unit/consistent", 0, 100),
    }
    hit: Tensor
    shown: Tensor
    fired: Tensor
    present: Tensor

    def __init__(
        self,
        num_units: int,
        part_count: int,
        *,
        tau: float = 0.8,
        support: int = 1,
        protocol: Literal["huang2023-v2", "huang2023-v1"] = "huang2023-v2",
        aligned: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if protocol not in ("huang2023-v2", "huang2023-v1"):
            raise ValueError(f"protocol is {protocol!r}; expected huang2023-v2 or huang2023-v1")
        self.num_units, self.part_count = count("num_units", num_units), count("part_count", part_count)
        self.tau, self.support = fraction("tau", tau), count("support", support)
        self.protocol = self._variant(protocol, tau=self.tau, support=self.support)
        self.aligned = None if aligned is None else torch.as_tensor(aligned)
        if self.aligned is not None:
            expect("aligned", self.aligned, num_units)
            if self.aligned.is_floating_point() or bool(((self.aligned < -1) | (self.aligned >= part_count)).any()):
                raise ValueError(f"aligned is {aligned}; expected parts 0 to {part_count - 1}, or -1 for none")
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
        self._check(hits=hits, visible=visible, unit_ids=unit_ids, gate=gate, sample_ids=sample_ids)
        hits, visible = hits.to(self.device).bool(), visible.to(self.device).bool()
        ids, real = claims(unit_ids, gate, hits, self.num_units)
        counted = visible[:, None] & real[..., None]
        if unit_ids is None:  # a matrix product; the compact form (ten of 2000) is an index_add; both are exact
            self._add("hit", hits & counted)
            self._add("shown", real, by=visible)
            self._add("fired", real)
        else:
            self._add("hit", hits & counted, at=ids)
            self._add("shown", counted, at=ids)
            self._add("fired", real, at=ids)
        self._add("present", visible)
        self._add("samples", torch.ones(len(hits), dtype=torch.int64, device=self.device))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Count the samples of a record."""
        _, hits, _, visible = record.located
        self.update(hits, visible, record.explanation.shown, record.gate, record.batch.index)

    def counts(self) -> Counts:
        """What was counted."""
        return Counts(self.hit, self.shown, self.fired[:, None], self.present)

    def compute(self) -> dict[str, Tensor]:
        """The score and its read-outs; see the class."""
        counts, aligned = self.counts(), self.aligned
        passes = counts.passes(self.tau, self.support)
        best, part = counts.rate(self.support).max(1)
        out = counts.readouts(self.tau, self.support)
        if aligned is not None:
            own = aligned.to(passes.device)
            own_passes = passes.gather(1, own.clamp_min(0)[:, None])[:, 0]
            out["aligned"] = 100 * own_passes[own >= 0].double().mean()
        return out | {
            "support": self.samples,
            "unit/rate": best,
            "unit/part": torch.where(counts.evaluable, part, -1),
            "unit/support": self.shown.gather(1, part[:, None])[:, 0],
            "unit/claims": self.fired,
            "unit/consistent": passes.any(1).double(),
        }
