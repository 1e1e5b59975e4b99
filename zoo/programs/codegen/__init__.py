"""Programs as readable Python files."""
