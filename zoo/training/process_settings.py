"""Settings of the process that a verb needs, for the time of the call."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from zoo.runtime.denormals import denormals_as_zero
from zoo.training.lightning_messages import quiet

P = ParamSpec("P")
R = TypeVar("R")


def prepared(verb: Callable[P, R]) -> Callable[P, R]:
    """Decorate a verb: Lightning prints warnings only, and denormal numbers are computed as 0.

    Example:
        >>> @prepared
        ... def double(x: float) -> float:
        ...     return 2 * x
        >>> double(5e-324), double(1.0)
        (0.0, 2.0)
    """

    @wraps(verb)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        quiet()
        with denormals_as_zero():
            return verb(*args, **kwargs)

    return call
