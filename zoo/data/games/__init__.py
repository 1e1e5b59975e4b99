"""Sources of board games."""
