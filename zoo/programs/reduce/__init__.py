"""Shortening programs after training."""
