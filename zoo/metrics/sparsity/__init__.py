"""Scores of how many units an explanation needs."""
