"""Patch prototypes: similarity, projection, losses, pruning, base class of models."""
