"""Scores of units at positions of sequences with known properties."""
