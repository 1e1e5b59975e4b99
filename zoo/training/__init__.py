"""Training: phases, resumable checkpoints, loggers, cached features, checks before a run."""
