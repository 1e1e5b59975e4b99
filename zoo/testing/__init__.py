"""Conformance checks for models, scores and data sources, for our own tests and for plug-ins."""
