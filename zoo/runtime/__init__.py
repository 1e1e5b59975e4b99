"""The process that runs a verb: signals, the terminal, arithmetic."""
