"""Scores of the answers of classifiers, each beside a predictor that always gives the majority class."""
