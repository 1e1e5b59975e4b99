"""What a head hands over so that its answer can be computed outside the model: for what-if pages and counterfactuals."""

from zoo.what_if.affine_head import AffineHead
from zoo.what_if.feature_tables import FeatureTables, TableAxis, TableTerm

__all__ = ["AffineHead", "FeatureTables", "TableAxis", "TableTerm"]
