"""Sensitivity-n: does the summed evidence of pixels correlate with the logit's drop without them?

Source: Ancona, Ceolini, Oztireli, Gross, Towards Better Understanding of Gradient-based Attribution Methods for Deep
Neural Networks, ICLR 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.metrics._correlation import pearson
from zoo.metrics.attribution_maps._base import Forward, checked, classes, identity, logit, sweep
from zoo.metrics.attribution_maps._evidence import evidence
from zoo.metrics.attribution_maps._map_score import MapScore
from zoo.metrics.base import Record, count, fraction
from zoo.metrics.perturbations.noise import CHOICE, random_bits
from zoo.registry import register

SHARES = (0.01, 0.03, 0.1, 0.3, 0.6)


def sensitivity_n(
    forward: Forward,
    x: Tensor,
    attribution: Tensor,
    target: Tensor,
    *,
    shares: Sequence[float] = SHARES,
    subsets: int = 100,
    baseline: float = 0.0,
    ids: Tensor | None = None,
) -> Tensor:
    """Correlation of summed evidence and the drop of the logit over random sets of n pixels (Ancona et al., ICLR 2018).

    Args:
        forward: x -> logits.
        x: ``(b, c, h, w)``; not changed.
        attribution: ``(b, h, w)``; not changed.
        target: ``(b,)`` class whose logit is read.
        shares: of the pixels in a set: n over their number; at least one pixel.
        subsets: sets of each size.
        baseline: value of a pixel taken away, in every channel.
        ids: ``(b,)`` int64 that sets are drawn from; None: a hash of each input.

    Returns:
        ``(b, shares)`` float64 Pearson correlation; NaN where either side never varies.

    Raises:
        ValueError: if a shape or a share does not fit, or a value is not finite.
    """
    sizes = [max(1, round(fraction("shares", s, zero=False) * x.shape[-2:].numel())) for s in shares]
    subsets, target, ids = count("subsets", subsets), classes(x, target), identity(x, ids)
    maps = checked(attribution, x).to(x.device).flatten(1).double()
    before, curve = sweep(forward, target, 1, lambda _: x[None], logit), []
    for row, n in enumerate(sizes):
        sums = []

        def make(numbers: Tensor, n: int = n, row: int = row, sums: list[Tensor] = sums) -> Tensor:
            draws = (CHOICE + 5 + row * subsets + int(draw) for draw in numbers)
            bits = torch.stack([random_bits(ids, draw=draw, count=maps.shape[1]) for draw in draws])
            sets = bits <= bits.kthvalue(n, dim=2, keepdim=True).values
            sums.extend((maps * sets).sum(2))
            return torch.where(sets.unflatten(2, x.shape[-2:])[:, :, None], baseline, x)

        drop = before - sweep(forward, target, subsets, make, logit)
        curve.append(pearson(torch.stack(sums, 1), drop))
    return torch.stack(curve, 1)


@register
class SensitivityN(MapScore):
    """Correlation of the summed evidence of a set of pixels and the drop of the logit without them, over set sizes.

    ``sensitivity_n``, the headline, is the mean over the sizes (over those where it is defined) and samples;
    ``correlation_curve`` one value for each size. 1: evidence adds up to effects; 0 is chance.

    Args:
        shares: sizes of the sets, as shares of the pixels.
        subsets: sets of each size; each costs one pass.
        baseline: value of a pixel taken away, on the normalized input.
        share: of the samples that a suite scores.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        The logit is the sum of the pixels, and the map is the image: evidence is the drop.

        >>> def forward(x):
        ...     return torch.stack([x.sum((1, 2, 3)), torch.zeros(len(x))], 1)
        >>> score = SensitivityN(shares=(0.5,), subsets=10)
        >>> x = torch.arange(16.0).reshape(1, 1, 4, 4)
        >>> score.update(forward, x, x[:, 0], torch.tensor([0]))
        >>> round(float(score.compute()["sensitivity_n"]), 6)
        1.0
    """

    title = "Sensitivity-n"
    meaning = "correlation of summed evidence with the logit's drop when those pixels are removed; chance is 0"
    axes = {"correlation_curve": ("size of the pixel sets, by number", "correlation")}
    protocol = "ancona2018-v1"
    bounds = (-1, 1)
    values = ("sensitivity_n",)
    curves: tuple[str, ...] = ("correlation_curve",)

    def __init__(
        self,
        *,
        shares: Sequence[float] = SHARES,
        subsets: int = 100,
        baseline: float = 0.0,
        share: float = 1.0,
    ) -> None:
        self.shares = tuple(fraction("shares", s, zero=False) for s in shares)
        if not self.shares:
            raise ValueError("shares is empty; expected at least one size, such as 0.1")
        super().__init__(share=share, points=len(self.shares))
        self.subsets, self.baseline = count("subsets", subsets), float(baseline)
        self.protocol = self._variant(type(self).protocol, subsets=subsets, baseline=baseline, share=share)
        if self.shares != SHARES:
            self.protocol += "/shares" + "-".join(f"{s:g}" for s in self.shares)

    def update(
        self, forward: Forward, x: Tensor, attribution: Tensor, target: Tensor, ids: Tensor | None = None
    ) -> None:
        """Add inputs; arguments as for ``sensitivity_n``."""
        self._check(x=x, attribution=attribution, target=target, ids=ids)
        how = {"shares": self.shares, "subsets": self.subsets, "baseline": self.baseline, "ids": ids}
        correlation = sensitivity_n(forward, x, attribution, target, **how)
        self._add_values({"sensitivity_n": correlation.nanmean(1), "correlation_curve": correlation})

    def _add_record(self, record: Record) -> None:
        explanation, x = record.explanation, record.batch.x
        self.update(record.model, x, evidence(explanation, record.size), explanation.target, record.batch.index)
