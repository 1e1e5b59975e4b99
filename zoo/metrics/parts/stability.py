"""Part stability: does a unit match the same parts when the image is perturbed?

Source: Huang et al., Evaluation and Improvement of Interpretability for Self-Explainable Part-Prototype Networks, ICCV
2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from zoo.metrics.base import Perturbation, Record, Score, claims, count, expect
from zoo.metrics.perturbations.noise import Change, Noise
from zoo.metrics.perturbations.perturbation_list import check_draws, label
from zoo.metrics.perturbations.perturbation_list import perturbation as chosen
from zoo.registry import register


@register
class Stability(Score):
    """Share of instances on which a unit hits the same parts before and after a perturbation, in percent.

    The share is taken over the instances on which the unit makes a claim, then averaged over the units that make
    any, then over draws. From Huang et al., ICCV 2023. ``huang2023-v2``: noise N(0, 0.2^2) clipped to 0.25, on the
    normalized image; equal means that no part differs. ``huang2023-v1``, its first release: no clip, and equal
    means that as many parts are hit.

    The id fixes the noise in the space of the model's normalized input, not in pixels: a pixel in 0..1 that is
    normalized by a standard deviation s gets noise of 0.2 s, about 0.045 with the ImageNet constants of the paper and
    0.1 with s = 0.5. Compare models only where their data share one normalization.

    Any other perturbation that maps the annotation is the same score with an id of its own, such as
    ``zoo-stability-v1/shift/pixels8``: equal as in v2, over the parts visible on both sides.

    Further read-outs, in 0..1 unless stated otherwise: ``vacuous`` share of pairs with no hit on either side, which
    count as stable above; ``nonvacuous`` stability without them, in percent; ``jaccard`` mean overlap of the hit
    parts without them; ``survival`` share of claims that are still made; ``displacement`` mean distance from where the
    peak should be, in pixels; ``draws`` and ``spread`` (standard deviation of the score over draws). All are means over
    units, each over its own instances. Per unit: ``unit/stability`` (NaN without a claim), ``unit/claims`` (per
    draw).

    Args:
        num_units: u.
        part_count: p.
        protocol: id printed with the score; chooses noise and equality.
        draws: number of perturbed copies of each input. More draws estimate the same quantity more precisely, so the
            id stays; the read-out ``draws`` gives it. A deterministic perturbation has one draw.
        perturbation: one of ``perturbations.PERTURBATIONS``, by name or with its settings, as in
            ``{name: shift, pixels: 8}``, or a function of (batch, draw); None for the noise of ``protocol``.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        One unit hits the same part before and after in one of two images.

        >>> score = Stability(1, 2)
        >>> before = torch.tensor([[[1, 0]], [[1, 0]]]).bool()
        >>> score.update(before, torch.tensor([[[1, 0]], [[0, 1]]]).bool())
        >>> float(score.compute()["stability"])
        50.0
    """

    title = "Stability"
    meaning = "share of matches with the same object parts before and after a perturbation"
    unit = "%"
    unit_readouts = {"stability": "same parts when perturbed"}
    unit_pass_rate = "stability"
    requires = frozenset({"units", "parts"})
    inputs = {
        "before": "binary",
        "after": "binary",
        "unit_ids": "unit",
        "gate": "binary",
        "gate_after": "binary",
        "moved": "finite",
    }
    intervals = {"stability": ("unit/stability", 0, 100)}
    noise: ClassVar[dict[str, Noise]] = {"huang2023-v2": Noise(clip=0.25), "huang2023-v1": Noise(clip=None)}
    equal: Tensor
    fired: Tensor
    vacuous: Tensor
    kept: Tensor
    survived: Tensor
    overlap: Tensor
    moved: Tensor

    def __init__(
        self,
        num_units: int,
        part_count: int,
        *,
        protocol: Literal["huang2023-v2", "huang2023-v1"] = "huang2023-v2",
        draws: int = 1,
        perturbation: str | Mapping[str, Any] | Perturbation | None = None,
    ) -> None:
        super().__init__()
        if protocol not in tuple(self.noise):
            raise ValueError(f"protocol is {protocol!r}; expected one of {', '.join(self.noise)}")
        self.num_units, self.part_count = count("num_units", num_units), count("part_count", part_count)
        self.draws, self.by_count, self.change = count("draws", draws), protocol == "huang2023-v1", self.noise[protocol]
        self.protocol = protocol
        if perturbation is not None:
            if self.by_count:
                raise ValueError("protocol is 'huang2023-v1', which is defined for its noise; expected no perturbation")
            self.change = chosen(perturbation)
            self.protocol = f"zoo-stability-v1/{label(self.change)}"
            check_draws(self.change, self.draws)
        self.perturbations = [(self.change, draw) for draw in range(self.draws)]
        for name in ("equal", "fired"):
            self._sum(name, self.draws * num_units)
        for name in ("vacuous", "kept", "survived"):
            self._sum(name, num_units)
        for name in ("overlap", "moved"):
            self._sum(name, num_units, dtype=torch.float64)

    def update(
        self,
        before: Tensor,
        after: Tensor,
        unit_ids: Tensor | None = None,
        gate: Tensor | None = None,
        *,
        gate_after: Tensor | None = None,
        moved: Tensor | None = None,
        draw: int = 0,
    ) -> None:
        """Count a batch of pairs.

        Args:
            before: ``(b, k, p)`` bool parts that each unit hits; invisible parts are false.
            after: ``(b, k, p)`` the same under the perturbation, against the annotation it maps to.
            unit_ids: ``(b, k)`` int64, -1 for padding; None if the columns are all units in order (k = u).
            gate: ``(b, k)`` bool, whether the unit makes a claim; None if it always does.
            gate_after: ``(b, k)`` the same under the perturbation; a unit that becomes inactive has changed. None: none
                does.
            moved: ``(b, k)`` distance between the two places, in pixels; None counts as 0.
            draw: number of the draw, from 0.

        Raises:
            ValueError: if a shape does not fit, an id is not that of a unit, or there is no such draw.
        """
        expect("before", before, None, None, self.part_count)
        expect("after", after, *before.shape)
        if not 0 <= draw < self.draws:
            raise ValueError(f"draw is {draw}; this Stability was made for {self.draws} draws, numbered from 0")
        self._check(before=before, after=after, unit_ids=unit_ids, gate=gate, gate_after=gate_after, moved=moved)
        before, after = before.to(self.device).bool(), after.to(self.device).bool()
        ids, real = claims(unit_ids, gate, before, self.num_units)
        still = real if gate_after is None else real & gate_after.to(self.device).bool()
        one, two, both = before.sum(-1), after.sum(-1), (before & after).sum(-1)
        same = one == two if self.by_count else (one == both) & (two == both)
        empty = (one == 0) & (two == 0)
        self._add("equal", same & still & real, at=ids + draw * self.num_units)
        self._add("fired", real, at=ids + draw * self.num_units)
        self._add("vacuous", empty & real, at=ids)
        self._add("kept", same & still & real & ~empty, at=ids)
        self._add("survived", still & real, at=ids)
        self._add("overlap", both.double() / (one + two - both).clamp_min(1) * real, at=ids)
        if moved is not None:
            self._add("moved", torch.where(real, moved.to(self.device).double(), 0), at=ids)
        self._add("samples", torch.full((len(before),), int(draw == 0), device=self.device))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Count the samples of a record."""
        if changed is None:
            raise ValueError("changed is None; expected the record under the perturbation")
        peaks, hits, _, visible = record.located
        changed_peaks, changed_hits, _, still_visible = changed.located
        both = (visible & still_visible)[:, None]
        expected = peaks + 0.5  # the center of a pixel
        if isinstance(self.change, Change):
            expected = self.change.place(expected, record.batch.index, draw, record.size)
        moved = torch.linalg.vector_norm((changed_peaks + 0.5 - expected).double(), dim=-1)
        self.update(
            hits & both,
            changed_hits & both,
            record.explanation.shown,
            record.gate,
            gate_after=changed.gate,
            moved=moved,
            draw=draw,
        )

    def compute(self) -> dict[str, Tensor]:
        """The score and its read-outs; see the class."""
        equal, claimed = self.equal.view(self.draws, -1), self.fired.view(self.draws, -1)
        scores = torch.stack([_mean(e, f) for e, f in zip(equal, claimed, strict=True)])
        fired = claimed.sum(0)
        full = fired - self.vacuous
        return {
            "stability": 100 * scores.mean(),
            "vacuous": _mean(self.vacuous, fired),
            "nonvacuous": 100 * _mean(self.kept, full),
            "jaccard": _mean(self.overlap, full),
            "survival": _mean(self.survived, fired),
            "displacement": _mean(self.moved, fired),
            "draws": torch.tensor(self.draws, device=self.device),
            "spread": 100 * scores.std(correction=0),
            "support": self.samples,
            "unit/stability": equal.sum(0).double() / fired,
            "unit/claims": claimed[0],
        }


def _mean(total: Tensor, count: Tensor) -> Tensor:
    share = total.double() / count.clamp_min(1)
    return (share * (count > 0)).sum() / (count > 0).sum()
