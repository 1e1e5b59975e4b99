"""Scores of the prediction."""
