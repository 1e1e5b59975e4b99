"""Conformance checks for models, scores and data sources, for our own tests and for plug-ins."""

from zoo.testing.check_data import check_data

__all__ = ["check_data"]
