"""Learning programs by gradient descent, many restarts side by side.

- ``sizes``, ``network``, ``readout``: the relaxed network, its read-out and its loss; ``gumbel_softmax``: soft choices.
- ``compilation``: the program of a trained restart; ``linear_readout``: exact fit of the read-out of a program.
- ``restarts``: the programs of all restarts and their accuracy; ``restart_state``: tensors with a restart dimension.
- ``training``: the steps that phases of a config call; ``word_vectors``: initial properties of words.
"""
