"""The units of a model for readers: pictures, notes, triggers, ranking."""
