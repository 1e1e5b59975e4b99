"""Inputs that travel with a model: everything that turns a file, a row or a text into a tensor, and back into words."""
