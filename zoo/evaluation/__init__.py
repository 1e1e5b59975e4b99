"""Scoring a model and gathering what its page shows: inputs, explanations, scores, tables; and units across runs."""
