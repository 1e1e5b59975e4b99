"""What a page holds beside its text so that a reader can ask it: numbers of the model, commands, edits."""
