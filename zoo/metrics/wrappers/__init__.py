"""Wrappers that add confidence intervals or chance levels to a score."""
