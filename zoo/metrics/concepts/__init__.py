"""Scores of annotated concepts and of interventions on them."""
