"""Columns of an additive model: cells as numbers or labels, and their bins."""
