"""Phases, what resumes them, and where their numbers are written."""
