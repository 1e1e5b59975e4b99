"""Scikit-learn estimators of interpretable models, and the bridge to the package interpret."""

from zoo.estimators.additive import AdditiveClassifier, AdditiveRegressor
from zoo.estimators.ebm import from_ebm, to_ebm

__all__ = ["AdditiveClassifier", "AdditiveRegressor", "from_ebm", "to_ebm"]
