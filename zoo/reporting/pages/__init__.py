"""Pages that are not about explained inputs: the audit of a model of a table, runs side by side."""
