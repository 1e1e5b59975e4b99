"""Learning programs: relaxed networks, restarts and conversion to discrete programs."""
