"""Sentence encoders, sparse heads and n-grams of the models of texts."""
