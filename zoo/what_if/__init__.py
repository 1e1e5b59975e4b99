"""Heads as numbers, so that an answer can be computed outside the model, and the smallest change that flips it."""

from zoo.what_if.affine_head import AffineHead
from zoo.what_if.feature_tables import FeatureTables, TableAxis, TableTerm

__all__ = ["AffineHead", "FeatureTables", "TableAxis", "TableTerm"]
