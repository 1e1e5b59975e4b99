"""Edits of checkpoints: what they change in the scores, which units a score picks, and the checkpoint that results."""
