"""Checks that every model, score and data source passes, for our tests and for those of other packages."""

from zoo.testing.check_score import check_score

__all__ = ["check_score"]
