"""Exact convex fit of additive tables: smoothness, jumps and pairs by validation."""
