"""How tables are read: cells as text, their kinds by fixed rules, and the numbers that a model reads."""
