"""Terms, their cells in the training rows, and their penalties, put together for the convex fit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from zoo.layers.additive.columns.bins import ColumnBins
from zoo.layers.additive.fitting.penalties import Component, fixed_penalty, part_components


@dataclass(frozen=True)
class Part:
    """One table of the fit: a main, the jumps of an ordered main, or a pair.

    Args:
        columns: Column numbers, one or two.
        bins: Bins of the columns.
        role: "main", "jumps" or "pair".
        counts: Weight of every cell in the rows that center the table, shape (cells,).
    """

    columns: tuple[int, ...]
    bins: tuple[ColumnBins, ...]
    role: str
    counts: np.ndarray

    @property
    def cells(self) -> int:
        """Number of cells of the table."""
        return int(np.prod([axis.size for axis in self.bins]))

    @cached_property
    def components(self) -> list[Component]:
        """Penalty components of the table."""
        return part_components(self.bins, self.role)

    @cached_property
    def dense_fixed(self) -> np.ndarray:
        """Part of the penalty that no path varies, shape (cells, cells)."""
        return fixed_penalty(self.bins, self.counts, self.role)

    @cached_property
    def fixed(self) -> sp.csr_matrix:
        """The same as a sparse matrix."""
        return sp.csr_matrix(self.dense_fixed)

    @cached_property
    def _inverses(self) -> dict[float, np.ndarray]:
        return {}

    def inverse(self, strength: float, level: float) -> np.ndarray:
        """Return the inverse of ``level diag(counts) + penalty`` of a pair, float32, shape (cells, cells).

        One approximate block serves all inner splits and Newton steps as a preconditioner.
        """
        if strength not in self._inverses:
            penalty = self.dense_fixed + strength * self.components[0].form
            penalty[np.diag_indices_from(penalty)] += level * self.counts
            self._inverses.clear()
            self._inverses[strength] = np.linalg.inv(penalty).astype(np.float32)
        return self._inverses[strength]


class PartList:
    """Parts with their cells and penalty components, numbered through; mains and jumps come before pairs.

    Args:
        parts: Tables of the fit.
    """

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        self.cells = np.array([part.cells for part in parts], dtype=np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.cells)])
        self.components = [component for part in parts for component in part.components]
        self.owners = np.repeat(np.arange(len(parts)), [len(part.components) for part in parts])

    def component_keys(self) -> list[tuple]:
        """Return role, columns and name of every component, which other bins of the same parts share."""
        return [
            (self.parts[k].role, self.parts[k].columns, c.name)
            for k, c in zip(self.owners, self.components, strict=True)
        ]


class Assembly(PartList):
    """One-hot design and penalties of a list of parts.

    Args:
        parts: Tables of the fit.
        codes: Cell of every row in every part, flattened within the part, one array of shape (n,) a part.
    """

    def __init__(self, parts: list[Part], codes: list[np.ndarray]) -> None:
        super().__init__(parts)
        self.mains = sum(part.role != "pair" for part in parts)
        self.design = one_hot(codes, self.starts)
        entries = [part.fixed.tocoo() for part in parts] + [component.matrix.tocoo() for component in self.components]
        first = self.starts[np.concatenate([np.arange(len(parts)), self.owners])]
        width = int(self.starts[-1]) + 1
        rows = np.concatenate([e.row + start for e, start in zip(entries, first, strict=True)])
        columns = np.concatenate([e.col + start for e, start in zip(entries, first, strict=True)])
        places, self._place = np.unique(rows * width + columns, return_inverse=True)
        self._values = np.concatenate([e.data for e in entries])
        scaled = np.concatenate([np.zeros(len(parts), int), 1 + np.arange(len(self.components))])
        self._scale_of = np.repeat(scaled, [len(e.data) for e in entries])
        self._indices = (places % width).astype(np.int32)
        self._pointers = np.searchsorted(places, np.arange(width + 1) * width).astype(np.int32)

    def penalty(self, strengths: np.ndarray) -> sp.csr_matrix:
        """Return the penalty matrix at given strengths of the components, shape (D + 1, D + 1)."""
        scale = np.concatenate([[1.0], strengths])[self._scale_of]
        data = np.bincount(self._place, weights=self._values * scale, minlength=len(self._indices))
        width = len(self._pointers) - 1
        return sp.csr_matrix((data, self._indices, self._pointers), shape=(width, width))


def one_hot(codes: list[np.ndarray], starts: np.ndarray) -> sp.csr_matrix:
    """Return the cells of all rows as a sparse matrix with a last column of ones, shape (n, D + 1)."""
    count, n = len(codes), len(codes[0])
    indices = np.empty((n, count + 1), dtype=np.int32)
    for k, code in enumerate(codes):
        indices[:, k] = code
        indices[:, k] += np.int32(starts[k])
    indices[:, count] = starts[-1]
    pointers = np.arange(0, n * (count + 1) + 1, count + 1)
    return sp.csr_matrix((np.ones(indices.size), indices.ravel(), pointers), shape=(n, int(starts[-1]) + 1))
