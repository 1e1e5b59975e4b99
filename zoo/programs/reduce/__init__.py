"""Reducing and improving programs after training.

- ``simplify``: smaller programs that compute the same.
- ``prune``: fewer variables and rows at a bounded loss of accuracy; ``refit``: the read-out fitted again.
- ``shorten``: fewer lines of the exported file at a bounded loss of accuracy; ``changes``: the changes that it tries.
- ``local_search``: single changes of rows and inputs that lower the loss; ``moves``: these changes.
"""
