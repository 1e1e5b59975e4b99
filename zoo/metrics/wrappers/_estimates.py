"""A score with its bootstrap replicates, and the interval that they make."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from zoo.metrics.perturbations.noise import random_bits

STREAM = 5 << 32  # of the generator: unlike any draw of a perturbation
CDF = [math.exp(-1) * sum(1 / math.factorial(i) for i in range(k + 1)) for k in range(18)]


def poisson(ids: Tensor, replicates: int) -> Tensor:
    """Weights of samples in bootstrap replicates: Poisson of mean 1, by a hash of (sample id, replicate) alone.

    Args:
        ids: ``(b,)`` int64 identity of the cluster each row is of: the image, the sequence.
        replicates: r.

    Returns:
        ``(b, r)`` int64.
    """
    share = (random_bits(ids, draw=STREAM, count=replicates) & (2**53 - 1)).double() / 2**53
    return torch.searchsorted(torch.tensor(CDF, dtype=torch.float64, device=ids.device), share, right=True)


@dataclass(frozen=True)
class Estimate:
    """A score with its bootstrap replicates; two of the same samples can be subtracted, and are then paired.

    Attributes:
        value: ``(...)`` float64 as computed.
        replicates: ``(r, ...)`` the same of each replicate; those that are not finite are left out.
        units: ``(...)`` variance of the score because its units are a sample of units: Var / K of a mean over K.
        least: lowest value that the score can take.
        most: highest value.
        fingerprint: of the samples.
    """

    value: Tensor
    replicates: Tensor
    units: Tensor
    least: float = -math.inf
    most: float = math.inf
    fingerprint: int = 0

    def interval(self, level: float = 0.95) -> tuple[Tensor, Tensor]:
        """Lower and upper end: 2 * value - mean(replicates), plus or minus the normal quantile times the deviation.

        The center takes off the optimism that resampling shows; the variance is that of the replicates plus ``units``.
        A percentile interval of a thresholded score is neither: at 10 to 30 images a class it hardly ever covers.
        """
        good = self.replicates.isfinite()
        kept, n = torch.where(good, self.replicates, 0), good.sum(0)
        mean = kept.sum(0) / n
        spread = torch.where(good, self.replicates - mean, 0).square().sum(0) / (n - 1)
        half = NormalDist().inv_cdf((1 + level) / 2) * (spread + self.units).sqrt()
        center = 2 * self.value - mean
        return (center - half).clamp(self.least, self.most), (center + half).clamp(self.least, self.most)

    def __sub__(self, other: Estimate) -> Estimate:
        if self.fingerprint != other.fingerprint or self.replicates.shape != other.replicates.shape:
            raise ValueError("the two scores have other samples or replicates; a paired difference needs the same")
        units, reach = self.units + other.units, self.most - other.least
        return Estimate(
            self.value - other.value,
            self.replicates - other.replicates,
            units,
            self.least - other.most,
            reach,
            self.fingerprint,
        )
