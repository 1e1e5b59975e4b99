"""Reference models without an explanation of their own, trained beside the interpretable ones."""
