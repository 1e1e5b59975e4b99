"""Settings of an additive fit, and the numbers of bins that follow from the size of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np

from zoo.layers.additive.fitting.convex import JOINT_CELLS

PAIR_CELLS = 12_000  # of all pairs together


@dataclass(frozen=True)
class AdditiveSettings:
    """Settings of `fit_additive`.

    Args:
        max_bins: Largest number of bins of a main; fewer where the mains have over 3000 cells together.
        rare: Categories with fewer training rows than this share a bin.
        path_bins: Bins of a main while penalties and pairs are chosen.
        path_rows: Rows on which penalties and pairs are chosen; the final fit uses all.
        pair_bins: Bins of a column within a pair; 6 to 16, fewer for many pairs or few rows, when None.
        max_pairs: Largest number of pairs; three times the number of columns when None, 0 for mains only.
        pairs: Pairs of column names that may be used; all when None.
        inner_splits: Number of inner validation splits.
        validation_share: Share of the rows in the validation part of an inner split.
        factors: Common factors of the penalties of the mains that may be tried, from 1 towards lower loss.
        pair_strengths: Penalties of the pairs that may be tried, from 1000 towards lower loss.
        smoothness_resamples: Subsets of the rows whose smoothness is averaged; 0 for that of all rows. About 6 give
            functions that change less from sample to sample, mostly at a small loss of accuracy, and take as many times
            the seconds of the first step.
        jump_z: z score above which the bins of an ordered column are tested for jumps.
        balanced: Weigh the classes equally in the fit; the intercept is corrected to the base rate afterwards.
        monotone: Direction (1 or -1) by column; a monotone column takes no part in pairs.
        tolerance: Largest KKT residual of the final fit.
        seed: Seed of the inner splits.
    """

    max_bins: int = 256
    rare: int = 10
    path_bins: int = 32
    path_rows: int = 50_000
    pair_bins: int | None = None
    max_pairs: int | None = None
    pairs: tuple[tuple[str, str], ...] | None = None
    inner_splits: int = 6
    validation_share: float = 0.15
    factors: tuple[float, ...] = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
    pair_strengths: tuple[float, ...] = (10_000.0, 3000.0, 1000.0, 300.0, 100.0, 30.0)
    smoothness_resamples: int = 0
    jump_z: float = 2.0
    balanced: bool = False
    monotone: Mapping[str, int] = field(default_factory=dict)
    tolerance: float = 1e-8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_bins < 2:
            raise ValueError(f"max_bins is {self.max_bins}; expected 2 or more")
        if self.max_pairs is not None and self.max_pairs < 0:
            raise ValueError(f"max_pairs is {self.max_pairs}; expected 0 (mains only), a larger number or None")
        for name, direction in self.monotone.items():
            if direction not in (1, -1):
                raise ValueError(f"the monotone direction of {name!r} is {direction!r}; expected 1 or -1")
        if self.smoothness_resamples < 0:
            raise ValueError(f"smoothness_resamples is {self.smoothness_resamples}; expected 0 (all rows) or more")
        if self.inner_splits < 2:
            raise ValueError(f"inner_splits is {self.inner_splits}; expected 2 or more, which give a standard error")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"validation_share is {self.validation_share}; expected a number between 0 and 1")

    def check_columns(self, names: Sequence[str]) -> None:
        """Raise a ValueError for a column of ``monotone`` or ``pairs`` that the table does not have."""
        for name in [*self.monotone, *[name for pair in self.pairs or () for name in pair]]:
            if name not in names:
                near = get_close_matches(name, names, 1) or list(names)
                raise ValueError(f"the settings name column {name!r}, which is not in the table; nearest: {near[0]!r}")


def largest_bins(sizes: list[int]) -> int:
    """Return the bins a column may have so that all mains fit one dense block, between 8 and the largest."""
    for limit in sorted({*sizes, *range(8, 257, 8)}, reverse=True):
        if sum(min(size, limit + 2) for size in sizes) <= JOINT_CELLS:
            return limit
    return 8


def pair_bins_of(columns: int, max_pairs: int | None, rows: int) -> int:
    """Return the bins of a column within a pair, 6 to 16, fewer for many pairs and for fewer rows than cells."""
    count = min(columns * (columns - 1) // 2, 3 * columns if max_pairs is None else max_pairs)
    return int(np.clip(min(PAIR_CELLS / max(count, 1), rows) ** 0.5 - 2, 6, 16))
