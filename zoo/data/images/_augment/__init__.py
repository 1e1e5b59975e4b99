"""Augmentation of batches of images: policies, what they draw for each sample, and how pixels follow."""
