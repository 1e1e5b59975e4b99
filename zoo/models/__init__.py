"""One file per architecture; ``base.py`` is what they share."""
