"""Layers of concept bottlenecks: embeddings, distributions and pooling of concepts."""
