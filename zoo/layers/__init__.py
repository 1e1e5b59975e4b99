"""Building blocks shared by models, one idea per file."""
