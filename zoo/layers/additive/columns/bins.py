"""Bins of one column: cuts of numbers, groups of labels, and two reserved bins for missing and unknown cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zoo.layers.additive.columns.column_values import MISSING_MARKERS, as_labels, as_numbers

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
        >>> from zoo.layers.additive.columns.bin_fitting import fit_bins
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

    def to_dict(self) -> dict[str, Any]:
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
    def from_dict(cls, state: dict[str, Any]) -> ColumnBins:
        """Build the bins that ``to_dict`` described."""
        values: dict[str, Any] = dict(state)
        values["missing"] = tuple(state["missing"])
        return cls(**values)
