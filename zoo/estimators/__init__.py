"""Scikit-learn estimators of interpretable models."""

from zoo.estimators.additive import AdditiveClassifier, AdditiveRegressor

__all__ = ["AdditiveClassifier", "AdditiveRegressor"]
