"""Checks that plug-ins run on their own models, scores and data sources; zoo's tests run the same."""

from zoo.testing.check_data import check_data
from zoo.testing.check_model import check_model
from zoo.testing.check_score import check_score

__all__ = ["check_data", "check_model", "check_score"]
