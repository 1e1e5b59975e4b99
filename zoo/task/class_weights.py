"""Weights of classes in the loss, from how often they occur."""

from __future__ import annotations

from collections.abc import Sequence


def balanced_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """Return class weights ``n / (c * n_c)`` of scikit-learn's ``class_weight="balanced"``.

    Raises:
        ValueError: if a class has no sample.

    >>> balanced_weights([1, 3])
    (2.0, 0.6666666666666666)
    """
    if not counts or min(counts) < 1:
        raise ValueError(f"the classes have {list(counts)} samples; expected at least one each")
    total = sum(counts)
    return tuple(total / (len(counts) * count) for count in counts)
