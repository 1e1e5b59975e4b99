"""Matching the units of several trainings."""
