"""Exact additive fits of small tables in the space of the rows, where the tables have more cells than rows."""
