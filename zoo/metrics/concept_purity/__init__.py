"""Scores of what the representation of each concept holds beside the concept, and of how few concepts suffice."""
