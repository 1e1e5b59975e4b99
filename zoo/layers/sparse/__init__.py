"""Sparse linear heads: elastic-net paths and their solver."""
