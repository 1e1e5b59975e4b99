"""A score with its bootstrap replicates, and the confidence interval computed from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from torch import Tensor

from zoo.metrics.wrappers._quantiles import ROUNDING, clopper_pearson, hall


@dataclass(frozen=True)
class Estimate:
    """A score with its bootstrap replicates; two on the same samples can be subtracted, and are then paired.

    Attributes:
        value: ``()`` float64 as computed.
        replicates: ``(r,)`` the same of each replicate; those that are not finite are left out.
        units: variance of the score because its units are a sample of units: Var / K of a mean over K; 0 where the
            interval is for these units.
        lowest: lowest value that the score can take.
        highest: highest value.
        fingerprint: of the samples.
        count: number of independent values behind the score: units, or samples where units are not sampled.
        binary: whether the score is the share of ``count`` units that pass a test.
        few_decide: whether a few inputs, of which a sample may have none, can decide the score.

    Example:
        >>> import torch
        >>> same = torch.ones(200, dtype=torch.float64)
        >>> low, high = Estimate(same[0], same, lowest=0, highest=1, count=60).interval()
        >>> round(low, 4), high
        (0.9404, 1.0)
    """

    value: Tensor
    replicates: Tensor
    units: float = 0.0
    lowest: float = -math.inf
    highest: float = math.inf
    fingerprint: int = 0
    count: int = 2
    binary: bool = False
    few_decide: bool = False

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Lower and upper end; NaN where the value or all but one replicate is not finite.

        The center is 2 * value - mean(replicates), which corrects the optimism that resampling shows (a percentile
        interval of a thresholded score doubles it). The variance is that of the replicates plus ``units``.

        - Bounded scores: Clopper-Pearson with the effective number of trials that gives this variance (Korn and
          Graubard, Survey Methodology 1998), degrees of freedom included.
        - Shares of units that pass a test: the same with the variance of a proportion, smoothed as by Agresti and
          Coull (1998), and the ends of the t interval where these are wider.
        - Scores with one bound, such as losses: the t interval of the logarithm of the distance to it (the t interval
          itself, where its standard error is not small beside the distance), widened to the t interval corrected for
          the skewness of the replicates (Hall, Journal of the Royal Statistical Society B 1992).
        - Other scores: t interval.
        - Bounded scores that few inputs can decide: at least what such inputs, none of which was observed, can change.
        - No variance: (alpha / 2) ** (1 / count) is the largest share of values like those observed that is still
          refuted; the rest may be anywhere within bounds. 60 of 60 right gives [0.940, 1].
        """
        value = float(self.value)
        kept = self.replicates[self.replicates.isfinite()].double()
        if not math.isfinite(value) or len(kept) < 2:
            return math.nan, math.nan
        spread, center = float(kept.var()), 2 * value - float(kept.mean())
        bounded = math.isfinite(self.highest - self.lowest)
        scale = self.highest - self.lowest if bounded else max(abs(value), 1e-300)
        if spread + self.units <= (ROUNDING * scale) ** 2:
            return self._unanimous(value, level)
        replicates = len(kept) if spread > 0 else self.count  # where only units vary, these are the degrees of freedom
        ends = self._student(center, spread, replicates, level)
        if math.isfinite(self.lowest) != math.isfinite(self.highest):
            return self._one_sided(value, center, kept, replicates, level)
        if not bounded:
            return ends
        share = min(max((center - self.lowest) / scale, 0), 1)
        trials = self._trials(share, (value - self.lowest) / scale, spread / scale**2, replicates, level)
        low, high = (self.lowest + scale * end for end in clopper_pearson(share, trials, level))
        if self.binary:
            return min(low, ends[0]), max(high, ends[1])
        if self.few_decide:
            rest = self._unanimous(value, level)
            return min(low, rest[0]), max(high, rest[1])
        return low, high

    def _unanimous(self, value: float, level: float) -> tuple[float, float]:
        """Ends where every replicate is the value itself; an end without a bound is the value."""
        unseen = 1 - ((1 - level) / 2) ** (1 / max(1, self.count))
        low = value - unseen * (value - self.lowest) if math.isfinite(self.lowest) else value
        high = value + unseen * (self.highest - value) if math.isfinite(self.highest) else value
        return low, high

    def _quantile(self, replicates: int, level: float) -> float:
        """Quantile of Student's t with as many degrees of freedom as the variance has."""
        from scipy.stats import t

        return float(t.ppf((1 + level) / 2, max(1, min(self.count, replicates) - 1)))

    def _student(self, center: float, spread: float, replicates: int, level: float) -> tuple[float, float]:
        half = self._quantile(replicates, level) * math.sqrt(spread + self.units)
        return max(center - half, self.lowest), min(center + half, self.highest)

    def _one_sided(
        self, value: float, center: float, kept: Tensor, replicates: int, level: float
    ) -> tuple[float, float]:
        """Ends of a score with one bound."""
        sign, bound = (1, self.lowest) if math.isfinite(self.lowest) else (-1, self.highest)
        error = math.sqrt(float(kept.var()) + self.units)
        distance = sign * (center - bound)
        quantile = self._quantile(replicates, level)
        half = quantile * error / distance if distance > 0 else math.inf
        near, far = distance - quantile * error, distance + quantile * error
        if half <= 1:
            near, far = distance * math.exp(-half), distance * math.exp(half)
        deviation = kept - kept.mean()
        scale = float(deviation.square().mean()) ** 1.5
        skewness = sign * float(deviation.pow(3).mean()) / scale if scale > 0 else 0.0
        skewed = [sign * (value - bound) - error * hall(z, skewness) for z in (quantile, -quantile)]
        near, far = max(0.0, min(near, skewed[0])), max(far, skewed[1])
        low, high = sorted((bound + sign * near, bound + sign * far))
        return low, high

    def _trials(self, share: float, value: float, spread: float, replicates: int, level: float) -> float:
        """Effective number of trials; all arguments on the scale 0..1."""
        z = NormalDist().inv_cdf((1 + level) / 2)
        if self.binary:
            smooth = (self.count * share + z * z / 2) / (self.count + z * z)
            variance = smooth * (1 - smooth)
            return self.count / (1 + self.count * spread / variance)
        scale = self.highest - self.lowest
        inner = share if 0 < share < 1 else value  # the center was clipped
        wide = (spread + self.units / scale**2) * (self._quantile(replicates, level) / z) ** 2
        return inner * (1 - inner) / wide if 0 < inner < 1 else float(self.count)

    def __sub__(self, other: Estimate) -> Estimate:
        """The paired difference of two scores of the same samples."""
        if self.fingerprint != other.fingerprint or self.replicates.shape != other.replicates.shape:
            raise ValueError("the two scores have other samples or replicates; a paired difference needs the same")
        return Estimate(
            self.value - other.value,
            self.replicates - other.replicates,
            self.units + other.units,
            self.lowest - other.highest,
            self.highest - other.lowest,
            self.fingerprint,
            min(self.count, other.count),
        )
