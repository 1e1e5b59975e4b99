"""Scoring a model on a split, the score table, the model card, and matching units across runs."""
