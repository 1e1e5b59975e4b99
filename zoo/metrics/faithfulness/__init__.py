"""Scores of whether contributions match what the model computes."""
