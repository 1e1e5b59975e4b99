"""Training rows of an additive fit: bins at three resolutions, target, weights, and the parts built from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.layers.additive.columns.bins import ColumnBins
from zoo.layers.additive.columns.cuts import coarsen
from zoo.layers.additive.fitting.assemble import Part
from zoo.layers.additive.fitting.convex_losses import TASKS, Loss


def prepare_target(
    y: Sequence | np.ndarray, task: str, weights: np.ndarray | None = None
) -> tuple[np.ndarray, list, float, float]:
    """Return the target as numbers, the class labels, and the mean and scale that were taken out of a regression.

    Raises:
        ValueError: Unknown task, one class only, more than two classes for "binary", or a target that is not finite.
    """
    if task not in TASKS:
        raise ValueError(f"task is {task!r}; expected one of {', '.join(TASKS)}")
    if task == "regression":
        values = np.asarray(y, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"the target of row {int(np.flatnonzero(~np.isfinite(values))[0])} is not a finite number")
        mean = float(np.average(values, weights=weights))
        scale = float(np.average((values - mean) ** 2, weights=weights) ** 0.5) or 1.0
        return (values - mean) / scale, [], mean, scale
    classes, codes = np.unique(np.asarray(y), return_inverse=True)
    if len(classes) < 2 or (task == "binary" and len(classes) > 2):
        raise ValueError(f"the target has {len(classes)} classes; expected {'2' if task == 'binary' else '2 or more'}")
    return codes, classes.tolist(), 0.0, 1.0


def prepare_weights(weights: np.ndarray | None, target: np.ndarray, balanced: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the row weights and those of the fit, in which balanced classes weigh equally, each of shape (n,).

    Raises:
        ValueError: The weights are not n finite numbers of 0 or more.
    """
    n = len(target)
    rows = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    if rows.shape != (n,) or not (np.isfinite(rows).all() and (rows >= 0).all()):
        raise ValueError(f"weights have shape {rows.shape}; expected {n} finite numbers of 0 or more")
    if not balanced:
        return rows, rows
    share = np.bincount(target, weights=rows) / rows.sum()
    return rows, rows / share[target] / len(share)


class Frame:
    """Bins and codes of the training rows.

    Args:
        bins: Bins of every column.
        codes: Bin of every row in every column, one array of shape (n,) a column.
        loss: Loss of all rows.
        path_rows: Rows on which penalties and pairs are chosen, ascending.
        path_bins: Bins of a column on the path.
        pair_bins: Bins of a column within a pair.
    """

    def __init__(
        self,
        bins: Sequence[ColumnBins],
        codes: Sequence[np.ndarray],
        loss: Loss,
        path_rows: np.ndarray,
        path_bins: int,
        pair_bins: int,
    ) -> None:
        self.loss = loss
        self.path_rows = path_rows
        self.codes = list(codes)
        self._parts: dict[tuple, Part] = {}
        self.fine = list(bins)
        self.path, self._to_path = map(list, zip(*[coarsen(axis, path_bins) for axis in bins], strict=True))
        self.pair, self._to_pair = map(list, zip(*[coarsen(axis, pair_bins) for axis in bins], strict=True))

    def mains(self, coarse: bool) -> list[Part]:
        """Return one main a column, at the bins of the path or at the finest bins."""
        bins = self.path if coarse else self.fine
        return [self._part((j,), (axis,), "main" if coarse else "fine") for j, axis in enumerate(bins)]

    def _part(self, columns: tuple[int, ...], bins: tuple[ColumnBins, ...], key: str) -> Part:
        # one object a part, because its penalty components are computed once
        if (columns, key) not in self._parts:
            role = "main" if key == "fine" else key
            part = Part(columns, bins, role, np.zeros(0))
            code = self.part_codes(part, self.path_rows)
            counts = np.bincount(code, weights=self.loss.weights[self.path_rows], minlength=part.cells)
            self._parts[columns, key] = Part(columns, bins, role, counts)
        return self._parts[columns, key]

    def jumps(self, columns: Sequence[int]) -> list[Part]:
        """Return the jumps of some columns, at the finest bins."""
        return [self._part((j,), (self.fine[j],), "jumps") for j in columns]

    def pairs(self, pairs: Sequence[tuple[int, int]]) -> list[Part]:
        """Return pair parts."""
        return [self._part(pair, tuple(self.pair[j] for j in pair), "pair") for pair in pairs]

    def part_codes(self, part: Part, rows: np.ndarray) -> np.ndarray:
        """Return the cell of some rows in a part, shape (rows,)."""
        if part.role == "pair":
            a, b = part.columns
            first, second = self._to_pair[a][self.codes[a][rows]], self._to_pair[b][self.codes[b][rows]]
            return first * self.pair[b].size + second
        j = part.columns[0]
        codes = self.codes[j][rows]
        return self._to_path[j][codes] if part.bins[0] is not self.fine[j] else codes.astype(np.int64)

    def all_codes(self, parts: Sequence[Part], rows: np.ndarray) -> list[np.ndarray]:
        """Return ``part_codes`` of every part."""
        return [self.part_codes(part, rows) for part in parts]

    def pair_codes(self, rows: np.ndarray) -> np.ndarray:
        """Return the bins of all columns at the resolution of pairs, shape (rows, columns)."""
        return np.stack([lookup[codes[rows]] for lookup, codes in zip(self._to_pair, self.codes, strict=True)], 1)
