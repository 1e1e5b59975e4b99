"""Codebook bottlenecks: quantization, nearest-code search, reset of dead codes."""
