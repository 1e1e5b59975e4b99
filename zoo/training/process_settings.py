"""Settings of the process that a verb needs, for the time of the call."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

from zoo.runtime.denormals import denormals_as_zero
from zoo.training.lightning_messages import quiet

P = ParamSpec("P")
R = TypeVar("R")


def ask_the_driver_once() -> None:
    """Let torch remember that there is no GPU: each step of an optimizer asks, and Lightning makes it search the disk.

    Lightning sets ``PYTORCH_NVML_BASED_CUDA_CHECK``, with which a process may be forked after the question. Without a
    driver the question then opens a library that does not exist, 0.35 ms a step.
    """
    if not torch.cuda.is_available():
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


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
        ask_the_driver_once()
        with denormals_as_zero():
            return verb(*args, **kwargs)

    return call
