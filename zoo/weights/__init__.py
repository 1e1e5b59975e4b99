"""Weights of checkpoints: hashes and types, finite values, memory."""
