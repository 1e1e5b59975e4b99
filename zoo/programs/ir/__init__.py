"""The intermediate representation of programs, and everything that reads it directly.

- ``nodes``: the four kinds of nodes; ``program``: nodes with a linear read-out; ``domains``: values of variables.
- ``names``, ``serialization``: which names are allowed; programs as JSON text, checked when read.
- ``interpreter``: runs programs on batches; ``trace``: every value of one input, and what it adds to each class.
- ``reachability``: values that a variable can have; how often each row is used.
- ``verification``: comparison with a reference on all or on random inputs.
"""
