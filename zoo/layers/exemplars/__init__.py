"""Training samples that inputs are compared with, and when an answer is accepted."""
