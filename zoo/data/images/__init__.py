"""Image sources."""
