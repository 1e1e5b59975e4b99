"""Sources of running text."""
