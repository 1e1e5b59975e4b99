"""Additive models of tables: bins, exact convex fit, pure terms."""

from zoo.layers.additive.columns.bin_fitting import fit_bins
from zoo.layers.additive.columns.bins import ColumnBins
from zoo.layers.additive.columns.tensor_columns import Columns
from zoo.layers.additive.fit import fit_additive
from zoo.layers.additive.fit_result import AdditiveFit
from zoo.layers.additive.fitting.fit_settings import AdditiveSettings
from zoo.layers.additive.tables import AdditiveTables
from zoo.layers.additive.terms import Term, purify_terms

__all__ = [
    "AdditiveFit",
    "AdditiveSettings",
    "AdditiveTables",
    "ColumnBins",
    "Columns",
    "Term",
    "fit_additive",
    "fit_bins",
    "purify_terms",
]
