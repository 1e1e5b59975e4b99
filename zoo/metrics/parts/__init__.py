"""Scores that compare the locations of units with annotated object parts."""
