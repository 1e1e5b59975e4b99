"""Additive terms as tensors: cuts, cells and tables of a fitted model, restored from a checkpoint without any data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from zoo.layers.additive.columns.tensor_columns import Columns
from zoo.layers.additive.table_tensors import STATE, feature_tables_of, state_of, terms_of
from zoo.layers.additive.terms import Term
from zoo.what_if import FeatureTables


class AdditiveTables(nn.Module):
    """Sum of table look-ups: ``score = intercept + sum of the cells of all terms``.

    Letters: b rows, d columns, k terms, c scores, a axes (one for each main and two for each pair, each with its own
    bins), D cells of all terms.

    Args:
        terms: mains and pairs.
        intercept: ``(c,)`` score of an average row.
        columns: the d columns, whose values a row holds.

    Attributes:
        tables: ``(D, c)`` the cells of all terms.
        bands: ``(D, c)`` their standard deviations over resamples; 0 where there are none.
        counts: ``(D,)`` weight of the training rows in each cell.
        cuts: ``(a, m)`` ascending cuts of the values of each axis.
        bin_of_rank: ``(a, m + 1)`` bin of a value with that many cuts at or below it.
        sizes: ``(a,)`` number of bins of each axis, with those of missing and unknown values.
        extent: ``(a, 2)`` smallest and largest training value of numbers; 0 for levels.
        axis_column: ``(a,)`` column of each axis.
        term_axes: ``(k, 2)`` axes of each term, -1 for none.

    Example:
        >>> from zoo.layers.additive.columns.bin_fitting import fit_bins
        >>> axis = fit_bins("x", [0.0, 1.0], kind="number")
        >>> term = Term((axis,), np.array([[0.0], [-1.0], [1.0], [0.0]]), axis.counts)
        >>> tables = AdditiveTables([term], np.array([0.5]), Columns.numbers(["x"]))
        >>> tables(torch.tensor([[0.0], [1.0], [torch.nan]])).ravel().tolist()
        [-0.5, 1.5, 0.5]
    """

    tables: nn.Parameter
    intercept: nn.Parameter
    bands: Tensor
    counts: Tensor
    cuts: Tensor
    bin_of_rank: Tensor
    sizes: Tensor
    extent: Tensor
    axis_column: Tensor
    term_axes: Tensor

    def __init__(self, terms: Sequence[Term], intercept: np.ndarray, columns: Columns) -> None:
        super().__init__()
        for name, value in state_of(terms, intercept, columns).items():
            if name in ("tables", "intercept"):
                setattr(self, name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)

    def bins(self, x: Tensor) -> Tensor:
        """Return the bin ``(a, b)`` of rows ``(b, d)`` on each axis: 0 missing, then the values, then unknown."""
        values = x.to(self.cuts.dtype)[:, self.axis_column].T.contiguous()
        known = values.nan_to_num()
        if torch.compiler.is_exporting():  # ONNX has no binary search
            rank = (self.cuts[:, None] <= known[:, :, None]).sum(-1)
        else:
            rank = torch.searchsorted(self.cuts, known, right=True)
        return self.bin_of_rank.gather(1, rank).masked_fill(values.isnan(), 0)

    def codes(self, x: Tensor) -> Tensor:
        """Return the cell ``(b, k)`` of rows ``(b, d)`` in the table of each term, counted over all terms."""
        bins = self.bins(x)
        first, second = self.term_axes.unbind(1)
        width, start = self._layout()
        inner = torch.where((second >= 0)[:, None], bins[second.clamp_min(0)], 0)
        return (bins[first] * width[:, None] + inner + start[:, None]).T.contiguous()

    def _layout(self) -> tuple[Tensor, Tensor]:
        """Number of bins ``(k,)`` of the second axis of each term, 1 for a main, and the first cell ``(k,)``."""
        first, second = self.term_axes.unbind(1)
        width = torch.where(second >= 0, self.sizes[second.clamp_min(0)], 1)
        cells = self.sizes[first] * width
        return width, cells.cumsum(0) - cells

    def cells(self, term: int) -> slice:
        """Return the cells of one term among those of all."""
        width, start = self._layout()
        size = int(self.sizes[self.term_axes[term, 0]] * width[term])
        return slice(int(start[term]), int(start[term]) + size)

    def words(self, x: Tensor, columns: Columns) -> list[list[str]]:
        """Return for each row ``(b, d)`` the bin of each term in words, such as ``36.5 to 40.5`` or ``missing``."""
        axes = [axis for term in self.terms(columns) for axis in term.bins]
        names = [[columns.text(axis, code) for code in range(axis.size)] for axis in axes]
        bins: list[list[int]] = self.bins(x).T.tolist()
        terms: list[list[int]] = self.term_axes.tolist()
        return [[" x ".join(names[i][row[i]] for i in pair if i >= 0) for pair in terms] for row in bins]

    def scores(self, codes: Tensor) -> Tensor:
        """Return what each term adds to the scores, ``(b, k, c)``, of rows given as ``codes``."""
        return self.tables[codes]

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores ``(b, c)`` of rows ``(b, d)``."""
        return self.intercept + self.scores(self.codes(x)).sum(1)

    def feature_tables(self, columns: Columns, *, halved: bool) -> FeatureTables:
        """Return bins and tables as arrays; ``halved`` says whether the score is the difference of two logits."""
        return feature_tables_of(self._arrays(), columns, halved=halved)

    @torch.no_grad()
    def set_terms(self, terms: Sequence[Term], intercept: np.ndarray, columns: Columns) -> None:
        """Replace all terms."""
        self._set({name: value.to(self.tables.device) for name, value in state_of(terms, intercept, columns).items()})

    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take the sizes of all tensors from a state about to be loaded."""
        names = [name for name in STATE if f"{prefix}{name}" in state]
        self._set({name: torch.zeros_like(state[f"{prefix}{name}"]) for name in names})

    def _set(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            old = getattr(self, name)
            value = value.to(old.dtype)
            setattr(self, name, nn.Parameter(value, old.requires_grad) if isinstance(old, nn.Parameter) else value)

    def terms(self, columns: Columns) -> list[Term]:
        """Return the terms with their bins in words, in the order of the units.

        Args:
            columns: the d columns.
        """
        return terms_of(self._arrays(), columns)

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {name: getattr(self, name).detach().cpu() for name in STATE}
        return {name: (a.float() if a.dtype == torch.bfloat16 else a).numpy() for name, a in arrays.items()}
