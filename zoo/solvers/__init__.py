"""Exact fits of convex problems: elastic-net paths of linear heads."""
