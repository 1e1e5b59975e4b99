"""Bilinear layers: quadratic forms, eigenvectors, adversarial masks, tensor similarity."""
