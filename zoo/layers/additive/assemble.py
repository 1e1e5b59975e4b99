"""Terms, their cells in the training rows, and their penalties, put together for the convex fit."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from zoo.layers.additive.bins import ColumnBins
from zoo.layers.additive.penalties import Component, fixed_penalty, term_components


class Assembly:
    """One-hot design and penalties of a list of terms.

    Args:
        term_bins: Bins of the axes of every term.
        codes: Cell of every row in every term, flattened within the term, shape (n, K).
        weights: Row weights, shape (n,).
        anchor: Strength on the weighted means, as a share of the total weight.
    """

    def __init__(self, term_bins: list[tuple[ColumnBins, ...]], codes: np.ndarray, weights: np.ndarray, anchor: float = 1.0, jumps: tuple[int, ...] = ()):
        n, count = codes.shape
        self.term_bins = term_bins
        self.cells = np.array([int(np.prod([axis.size for axis in bins])) for bins in term_bins], dtype=np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.cells)])
        width = int(self.starts[-1])
        self.counts = [np.bincount(codes[:, k], weights=weights, minlength=self.cells[k]) for k in range(count)]
        indices = np.empty((n, count + 1), dtype=np.int32)
        indices[:, :count] = codes
        indices[:, :count] += self.starts[:-1].astype(np.int32)
        indices[:, count] = width
        pointers = np.arange(0, n * (count + 1) + 1, count + 1)
        self.design = sp.csr_matrix((np.ones(indices.size), indices.ravel(), pointers), shape=(n, width + 1))
        strength = anchor * float(weights.sum())
        fixed = [fixed_penalty(bins, counts, strength) for bins, counts in zip(term_bins, self.counts, strict=True)]
        self.fixed = sp.block_diag(fixed, format="coo") if fixed else sp.coo_matrix((0, 0))
        self.components: list[Component] = [c for k, bins in enumerate(term_bins) for c in term_components(k, bins, k in jumps)]
        entries = [component.matrix.tocoo() for component in self.components]
        offset = [self.starts[component.term] for component in self.components]
        self._rows = np.concatenate([self.fixed.row, *[e.row + o for e, o in zip(entries, offset, strict=True)]])
        self._columns = np.concatenate([self.fixed.col, *[e.col + o for e, o in zip(entries, offset, strict=True)]])
        self._values = np.concatenate([self.fixed.data, *[e.data for e in entries]])
        lengths = [len(self.fixed.data), *[len(e.data) for e in entries]]
        self._owner = np.repeat(np.arange(len(lengths)), lengths)

    def penalty(self, strengths: np.ndarray) -> sp.csr_matrix:
        """Return the penalty matrix at given strengths of the components, shape (D, D)."""
        scale = np.concatenate([[1.0], strengths])[self._owner]
        width = int(self.starts[-1])
        return sp.csr_matrix((self._values * scale, (self._rows, self._columns)), shape=(width, width))

    def prior_trace(self, index: int, strengths: np.ndarray) -> float:
        """Return ``tr(P^- S)`` of a component S within the smoothness penalty P of its term."""
        component = self.components[index]
        together = [i for i, other in enumerate(self.components) if other.term == component.term]
        if len(together) == 1:
            return component.rank / strengths[index]
        penalty = sum(self.components[i].matrix.toarray() * strengths[i] for i in together)
        inner = slice(1, len(penalty) - 1)
        penalty = penalty[inner, inner]
        penalty = penalty + np.trace(penalty) / len(penalty) ** 2
        return float(np.sum(np.linalg.inv(penalty) * component.matrix.toarray()[inner, inner]))
