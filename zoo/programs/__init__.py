"""Programs over sequences: one representation, and all that reads it: interpreter, printer, pruner, verifier."""
