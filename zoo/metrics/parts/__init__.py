"""Scores of where units are located, held against annotated object parts."""
