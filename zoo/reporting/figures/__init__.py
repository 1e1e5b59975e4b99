"""One explanation as one picture, for a model card or a paper."""
