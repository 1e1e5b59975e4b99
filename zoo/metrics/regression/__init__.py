"""Scores of predicted numbers, each beside a predictor that always gives the mean of the training split."""
