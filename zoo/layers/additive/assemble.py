"""Terms, their cells in the training rows, and their penalties, put together for the convex fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from zoo.layers.additive.bins import ColumnBins
from zoo.layers.additive.penalties import Component, fixed_penalty, term_components


@dataclass(frozen=True)
class Part:
    """One table of the fit: a main, the jumps of an ordered main, or a pair.

    Args:
        columns: Column numbers, one or two.
        bins: Bins of the columns.
        role: "main", "jumps" or "pair".
    """

    columns: tuple[int, ...]
    bins: tuple[ColumnBins, ...]
    role: str = "main"

    @property
    def cells(self) -> int:
        """Number of cells of the table."""
        return int(np.prod([axis.size for axis in self.bins]))


class Assembly:
    """One-hot design and penalties of a list of parts; mains and jumps come before pairs.

    Args:
        parts: Tables of the fit.
        codes: Cell of every row in every part, flattened within the part, one array of shape (n,) a part.
        weights: Row weights, shape (n,).
    """

    def __init__(self, parts: list[Part], codes: list[np.ndarray], weights: np.ndarray) -> None:
        self.parts = parts
        self.mains = sum(part.role != "pair" for part in parts)
        self.cells = np.array([part.cells for part in parts], dtype=np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.cells)])
        self.counts = [
            np.bincount(code, weights=weights, minlength=part.cells) for part, code in zip(parts, codes, strict=True)
        ]
        self.design = one_hot(codes, self.starts)
        total = float(weights.sum())
        fixed = [
            fixed_penalty(part.bins, counts, total, part.role) for part, counts in zip(parts, self.counts, strict=True)
        ]
        self.components: list[Component] = [c for k, p in enumerate(parts) for c in term_components(k, p.bins, p.role)]
        entries = [form.tocoo() for form in fixed] + [component.matrix.tocoo() for component in self.components]
        owners = [*range(len(parts)), *[component.term for component in self.components]]
        self._rows = np.concatenate([e.row + self.starts[k] for e, k in zip(entries, owners, strict=True)])
        self._columns = np.concatenate([e.col + self.starts[k] for e, k in zip(entries, owners, strict=True)])
        self._values = np.concatenate([e.data for e in entries])
        scaled = np.concatenate([np.zeros(len(parts), int), 1 + np.arange(len(self.components))])
        self._owner = np.repeat(scaled, [len(e.data) for e in entries])

    def penalty(self, strengths: np.ndarray) -> sp.csr_matrix:
        """Return the penalty matrix at given strengths of the components, shape (D, D)."""
        scale = np.concatenate([[1.0], strengths])[self._owner]
        width = int(self.starts[-1])
        return sp.csr_matrix((self._values * scale, (self._rows, self._columns)), shape=(width, width))

    def keys(self) -> list[tuple]:
        """Return role, columns and name of every component, which other bins of the same parts share."""
        return [(self.parts[c.term].role, self.parts[c.term].columns, c.name) for c in self.components]

    def prior_trace(self, index: int, strengths: np.ndarray) -> float:
        """Return ``tr(P^- S)`` of a component S within the smoothness penalty P of its part."""
        component = self.components[index]
        together = [i for i, other in enumerate(self.components) if other.term == component.term]
        if len(together) == 1:
            return component.rank / strengths[index]
        penalty = sum(self.components[i].matrix.toarray() * strengths[i] for i in together)[1:-1, 1:-1]
        penalty = penalty + np.trace(penalty) / len(penalty) ** 2
        return float(np.sum(np.linalg.inv(penalty) * component.matrix.toarray()[1:-1, 1:-1]))


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
