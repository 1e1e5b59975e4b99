"""Edits of trained models: operations that a model declares, the file they are written in, history and exact undo."""
