"""Bins of one column: cuts of numbers, groups of labels, and two reserved bins for missing and unknown cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from zoo.layers.additive.cells import MISSING_MARKERS, as_labels, as_numbers, infer_kind

KINDS = ("number", "category", "ordinal", "boolean")
ORDERED = ("number", "ordinal")


@dataclass(frozen=True)
class ColumnBins:
    """Map the cells of a column to small integers: 0 missing, 1 to m values, m + 1 unknown.

    Args:
        name: Column name.
        kind: "number", "ordinal" (labels in a given order), "category" or "boolean".
        cuts: Ascending cuts of a number; ``x`` falls in bin ``1 + #{cuts <= x}``.
        labels: Labels of bin 1 to m for the other kinds; several labels of one bin are the rare ones, pooled.
        counts: Weight of the training rows of every bin, length m + 2.
        minimum: Smallest training value of a number.
        maximum: Largest training value of a number.
        positions: Ascending places of the value bins of an ordered column in [0, 1], length m; see `bin_positions`.
        missing: Cells that count as missing beside None and NaN.

    Example:
        >>> bins = fit_bins("age", [20.0, 30.0, 30.0, 40.0, float("nan")])
        >>> bins.cuts.tolist(), bins.transform([25.0, 99.0, None]).tolist()
        ([25.0, 35.0], [2, 3, 0])
    """

    name: str
    kind: str
    cuts: np.ndarray = field(default_factory=lambda: np.zeros(0))
    labels: tuple[tuple[str, ...], ...] = ()
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0))
    minimum: float = float("nan")
    maximum: float = float("nan")
    positions: np.ndarray = field(default_factory=lambda: np.zeros(0))
    missing: tuple[str, ...] = MISSING_MARKERS

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"column {self.name!r} has kind {self.kind!r}; expected one of {', '.join(KINDS)}")
        object.__setattr__(self, "cuts", np.asarray(self.cuts, dtype=np.float64))
        object.__setattr__(self, "counts", np.asarray(self.counts, dtype=np.float64))
        object.__setattr__(self, "positions", np.asarray(self.positions, dtype=np.float64))
        object.__setattr__(self, "labels", tuple(tuple(group) for group in self.labels))
        if np.any(np.diff(self.cuts) <= 0):
            raise ValueError(f"cuts of column {self.name!r} are not ascending; sort them and drop repeated values")

    @property
    def size(self) -> int:
        """Number of bins with the missing and the unknown bin, m + 2."""
        return (len(self.cuts) + 1 if self.kind == "number" else len(self.labels)) + 2

    @property
    def is_ordered(self) -> bool:
        """True when neighboring bins hold neighboring values."""
        return self.kind in ORDERED

    def transform(self, values: Sequence | np.ndarray) -> np.ndarray:
        """Return the bin of every cell as uint8 or uint16, shape (n,)."""
        dtype = np.uint8 if self.size <= 256 else np.uint16
        if self.kind == "number":
            numbers, unknown = as_numbers(values, self.missing)
            codes = 1 + np.searchsorted(self.cuts, numbers, side="right")
            codes[np.isnan(numbers)] = 0
            codes[unknown] = self.size - 1
            return codes.astype(dtype)
        labels, code_of_row = as_labels(values, self.missing)
        bin_of = {label: j for j, group in enumerate(self.labels, 1) for label in group}
        lookup = [0 if label is None else bin_of.get(label, self.size - 1) for label in labels]
        return np.asarray(lookup, dtype=dtype)[code_of_row]

    def text(self, code: int) -> str:
        """Return a bin in words: ``36.5 to 40.5``, ``Private``, ``missing`` or ``unknown``."""
        if code == 0:
            return "missing"
        if code == self.size - 1:
            return "unknown"
        if self.kind != "number":
            group = self.labels[code - 1]
            return group[0] if len(group) == 1 else f"other ({len(group)} rare values)"
        if len(self.cuts) == 0:
            return "any number"
        if code == 1:
            return f"below {self.cuts[0]:g}"
        if code == self.size - 2:
            return f"{self.cuts[-1]:g} or more"
        return f"{self.cuts[code - 2]:g} to {self.cuts[code - 1]:g}"

    def lookup_in(self, coarse: ColumnBins) -> np.ndarray:
        """Return the bin of a coarser binning of the same column for every bin of this one, shape (size,).

        Raises:
            ValueError: A bin of this binning is divided by the other.
        """
        if self.kind == "number":
            if not np.isin(coarse.cuts, self.cuts).all():
                raise ValueError(f"the cuts of column {self.name!r} are no subset of the finer cuts; merge both first")
            low = np.concatenate([[-np.inf], self.cuts])
            inner = 1 + np.searchsorted(coarse.cuts, low, side="right")
        else:
            group_of = {label: j for j, group in enumerate(coarse.labels, 1) for label in group}
            targets = [{group_of.get(label, coarse.size - 1) for label in group} for group in self.labels]
            if any(len(target) > 1 for target in targets):
                raise ValueError(f"labels pooled in one bin of column {self.name!r} are apart in the other binning")
            inner = np.array([target.pop() for target in targets], dtype=np.int64)
        return np.concatenate([[0], inner, [coarse.size - 1]]).astype(np.int64)

    def to_dict(self) -> dict:
        """Return plain Python values for YAML or JSON; ``from_dict`` reads them back without loss."""
        state = {
            "name": self.name,
            "kind": self.kind,
            "counts": self.counts.tolist(),
            "positions": self.positions.tolist(),
            "missing": list(self.missing),
        }
        if self.kind == "number":
            return state | {"cuts": self.cuts.tolist(), "minimum": self.minimum, "maximum": self.maximum}
        return state | {"labels": [list(group) for group in self.labels]}

    @classmethod
    def from_dict(cls, state: dict) -> ColumnBins:
        """Build the bins that ``to_dict`` described."""
        return cls(**{key: tuple(value) if key == "missing" else value for key, value in state.items()})


def fit_bins(
    name: str,
    values: Sequence | np.ndarray,
    *,
    kind: str | None = None,
    weights: np.ndarray | None = None,
    order: Sequence[str] | None = None,
    max_bins: int = 256,
    min_rows: int = 1,
    rare: int = 10,
    missing: tuple[str, ...] = MISSING_MARKERS,
) -> ColumnBins:
    """Fit the bins of one column on its training cells.

    Numbers are cut at the midpoints of all distinct values where there are at most ``max_bins`` of them, else at the
    union of row quantiles and quantiles of the distinct values. Categories are sorted by frequency; those with fewer
    than ``rare`` rows share one bin.

    Args:
        name: Column name.
        values: Training cells, length n.
        kind: Kind of the column; inferred from the cells when None.
        weights: Row weights, shape (n,); they count in the quantiles and in ``counts``.
        order: Labels of an ordinal column, lowest first.
        max_bins: Largest number of value bins.
        min_rows: Smallest number of training rows in a bin of a number; smaller neighbors are merged.
        rare: Categories with fewer rows than this are pooled.
        missing: Cells that count as missing beside None and NaN.
    """
    kind = kind or ("ordinal" if order is not None else infer_kind(values, missing))
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    if kind == "number":
        numbers, _ = as_numbers(values, missing)
        usable = np.isfinite(numbers)
        cuts = choose_cuts(numbers[usable], weights[usable], max_bins, min_rows)
        low, high = (float(numbers[usable].min()), float(numbers[usable].max())) if usable.any() else (np.nan, np.nan)
        bins = ColumnBins(name, kind, cuts=cuts, minimum=low, maximum=high, missing=missing)
    else:
        labels, code_of_row = as_labels(values, missing)
        rows = np.bincount(code_of_row, minlength=len(labels))
        groups = _group_labels(name, kind, labels, rows, order, rare)
        bins = ColumnBins(name, kind, labels=groups, missing=missing)
    counts = np.bincount(bins.transform(values), weights=weights, minlength=bins.size)
    bins = ColumnBins(**{**bins.__dict__, "counts": counts})
    return ColumnBins(**{**bins.__dict__, "positions": bin_positions(bins)}) if bins.is_ordered else bins


def bin_positions(bins: ColumnBins) -> np.ndarray:
    """Return the places of the value bins of an ordered column in [0, 1], shape (m,).

    A place is the mean of the share of training rows below it, the share of the value range (between the 2nd and the
    98th percentile) and the share of bins, so that neither heavy tails nor many equal rows hide a part of the axis.
    """
    counts = bins.counts[1:-1]
    index = (np.arange(len(counts)) + 0.5) / max(len(counts), 1)
    if bins.kind != "number" or len(counts) < 2:
        return index
    rank = (np.cumsum(counts) - counts / 2) / max(counts.sum(), 1e-300)
    edges = np.concatenate([[bins.minimum], bins.cuts, [bins.maximum]])
    center = edges[:-1] / 2 + edges[1:] / 2
    low, high = np.interp([0.02, 0.98], rank, center)
    value = np.clip((center - low) / max(high - low, 1e-300), 0, 1)
    return (rank + value + index) / 3


def _group_labels(name, kind, labels, rows, order, rare) -> tuple[tuple[str, ...], ...]:
    present = [(label, count) for label, count in zip(labels, rows, strict=True) if label is not None]
    if kind == "ordinal":
        if order is None:
            raise ValueError(f"column {name!r} is ordinal and has no order; pass order=[lowest, ..., highest]")
        return tuple((str(label),) for label in order)
    present.sort(key=lambda pair: (-pair[1], pair[0]))
    if kind == "boolean":
        return tuple((label,) for label in sorted(label for label, _ in present))
    frequent = tuple((label,) for label, count in present if count >= rare)
    pooled = tuple(label for label, count in present if count < rare)
    return frequent + ((pooled,) if pooled else ())


def choose_cuts(values: np.ndarray, weights: np.ndarray, max_bins: int, min_rows: int = 1) -> np.ndarray:
    """Return ascending float64 cuts between distinct values; a value equal to a cut belongs to the upper bin.

    Args:
        values: Finite numbers, shape (n,).
        weights: Row weights, shape (n,).
        max_bins: Largest number of bins.
        min_rows: Smallest number of rows in a bin.
    """
    distinct, inverse, rows = np.unique(values, return_inverse=True, return_counts=True)
    if len(distinct) < 2:
        return np.zeros(0)
    upper = np.arange(1, len(distinct))  # a cut before distinct[upper]
    if len(distinct) > max_bins:
        mass = np.cumsum(np.bincount(inverse, weights=weights, minlength=len(distinct)))
        share = np.arange(1, max_bins) / max_bins  # in turn a quantile of the values and of the rows
        by_value = np.round(share[::2] * len(distinct)).astype(int)
        by_row = np.searchsorted(mass, share[1::2] * mass[-1], side="left") + 1
        upper = np.union1d(by_row, by_value)
        upper = upper[(upper >= 1) & (upper < len(distinct))]
    if min_rows > 1:
        upper = _merge_small(np.cumsum(rows), upper, min_rows)
    low, high = distinct[upper - 1], distinct[upper]
    cuts = low / 2 + high / 2
    return np.where((cuts > low) & (cuts <= high), cuts, high)


def _merge_small(cumulative: np.ndarray, upper: np.ndarray, min_rows: int) -> np.ndarray:
    kept, start = [], 0
    for index in upper:
        before = cumulative[index - 1]
        if before - start >= min_rows and cumulative[-1] - before >= min_rows:
            kept.append(index)
            start = before
    return np.asarray(kept, dtype=int)


def coarsen(bins: ColumnBins, max_bins: int) -> tuple[ColumnBins, np.ndarray]:
    """Merge value bins to at most ``max_bins`` and return the new bins with the new bin of every old one.

    Ordered columns keep cuts that share the training rows equally; rare categories join the last value bin.

    Returns:
        The coarser bins and a lookup of shape (bins.size,) with ``coarse.transform(x) == lookup[bins.transform(x)]``.
    """
    inner = bins.counts[1:-1]
    if len(inner) <= max_bins:
        return bins, np.arange(bins.size)
    if bins.is_ordered:
        rank = (np.cumsum(inner) - inner / 2) / max(inner.sum(), 1e-300)
        index = (np.arange(len(inner)) + 0.5) / len(inner)
        share = np.arange(1, max_bins) / max_bins  # in turn a share of the bins and of the rows, as in choose_cuts
        group = np.searchsorted(share[::2], index, side="right") + np.searchsorted(share[1::2], rank, side="right")
        group = np.unique(group, return_inverse=True)[1]
    else:
        group = np.minimum(np.arange(len(inner)), max_bins - 1)
    total = int(group.max()) + 1
    lookup = np.concatenate([[0], 1 + group, [total + 1]])
    counts = np.bincount(lookup, weights=bins.counts, minlength=total + 2)
    changes: dict = {"counts": counts}
    if bins.is_ordered:
        mass = inner + 1e-9 * max(inner.sum(), 1e-300)
        changes["positions"] = np.bincount(group, mass * bins.positions) / np.bincount(group, mass)
    if bins.kind == "number":
        changes["cuts"] = bins.cuts[np.flatnonzero(np.diff(group))]
    else:
        changes["labels"] = tuple(
            tuple(label for j in np.flatnonzero(group == g) for label in bins.labels[j]) for g in range(total)
        )
    return ColumnBins(**{**bins.__dict__, **changes}), lookup
