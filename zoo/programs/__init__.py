"""Programs over sequences of tokens: their representation, learning, reduction and export as Python files.

- ``ir``: the intermediate representation, its interpreter, traces and verification.
- ``learn``: relaxed networks that are trained and then compiled to programs.
- ``reduce``: smaller programs at a bounded loss of accuracy.
- ``codegen``: programs as Python files that need only the standard library.
- ``label_positions``: labeled positions of sequences, on which programs are fitted and evaluated.
"""
