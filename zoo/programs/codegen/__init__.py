"""Programs as Python files that need only the standard library and can be read.

- ``printer``: the whole file; ``header``, ``constants``, ``functions``, ``entry_points``: its parts in order.
- ``table_functions``, ``conditions``, ``formulas``: lookup tables and predicates as branches and formulas.
- ``vocabulary``, ``word_lists``: properties of words, their names, and their lists.
- ``layout``: literals, docstrings and line breaks; the only place where foreign text becomes source.
"""
