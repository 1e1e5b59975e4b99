"""Sources of labeled token sequences."""
