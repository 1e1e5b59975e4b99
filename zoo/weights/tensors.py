"""Checks of named tensors: finite values, and the memory that building a model takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils import deterministic
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MIN_BYTES = 1 << 28  # allowed for any model
FACTOR = 32  # temporaries of an initialization, in sizes of the weights
MAX_OPERATIONS = 1_000_000
MIN_OPERATIONS = 50_000  # allowed for any model
PER_TENSOR = 1000  # allowed for each tensor of the weights file
FILL = "fill_uninitialized_memory"  # of torch.utils.deterministic; type checkers do not find it


def non_finite(tree: Any, name: str = "") -> str:
    """Return the name of the first tensor with an infinite or undefined value; empty if all values are finite.

    Args:
        tree: tensors in mappings, lists and tuples; anything else is skipped.
        name: of the tree.

    Example:
        >>> non_finite({"head": {"weight": torch.tensor([1.0, float("nan")])}, "steps": 3})
        'head.weight'
    """
    if isinstance(tree, Tensor):
        if not (tree.is_floating_point() or tree.is_complex()):
            return ""
        values = tree.float() if tree.element_size() == 1 else tree  # float8 has no isfinite
        return "" if bool(torch.isfinite(values).all()) else name or "the tensor"
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, list | tuple) else ()
    for key, value in items:
        found = non_finite(value, f"{name}.{key}" if name else str(key))
        if found:
            return found
    return ""


def check_finite(tree: Any, where: str, remedy: str) -> None:
    """Check that all tensors are finite.

    Args:
        tree: as in ``non_finite``.
        where: what holds them, for the error.
        remedy: the nearest fix, for the error.

    Raises:
        ValueError: naming the first tensor that is not.
    """
    name = non_finite(tree)
    if name:
        raise ValueError(f"{where}: tensor {name} has a value that is not finite; {remedy}")


@contextmanager
def bounded_memory(size: int, where: str, *, tensors: int | None = None) -> Iterator[None]:
    """Refuse to build a model that needs far more memory than its weights file holds.

    Args:
        size: bytes of the weights file.
        where: the config that describes the model, for the error.
        tensors: number of tensors in the weights file; None if it is not known.

    Raises:
        ValueError: if one tensor, or all that are made, exceed the bound; or there are more operations than a model of
            so many tensors needs.

    Example:
        >>> with bounded_memory(8, "config.yaml"):
        ...     _ = torch.nn.Linear(2, 3)
    """
    filled: bool = getattr(deterministic, FILL)
    setattr(deterministic, FILL, False)  # memory of a tensor that is refused is never written
    operations = MAX_OPERATIONS if tensors is None else min(MAX_OPERATIONS, MIN_OPERATIONS + PER_TENSOR * tensors)
    try:
        with _Budget(MIN_BYTES + FACTOR * size, where, operations=operations):
            yield
    except (RuntimeError, MemoryError) as error:
        if "can't allocate memory" in str(error) or isinstance(error, MemoryError):
            raise _too_large(where, size) from error
        raise
    finally:
        setattr(deterministic, FILL, filled)


class _Budget(TorchDispatchMode):
    """Counts the bytes of new tensors and the operations."""

    def __init__(self, limit: int, where: str, *, operations: int) -> None:
        super().__init__()
        self.max_operations = operations
        self.limit = limit
        self.where = where
        self.total = 0
        self.operations = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # True would import the compiler of torch, which takes seconds
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count what it made."""
        out = func(*args, **(kwargs or {}))
        self.operations += 1
        for value in tree_leaves(out):
            if isinstance(value, Tensor) and value.device.type != "meta":
                size = value.numel() * value.element_size()
                self.total += size
                if size > self.limit:
                    raise _too_large(self.where, size)
        if self.total > FACTOR * self.limit or self.operations > self.max_operations:
            raise _too_large(self.where, self.total)
        return out


def _too_large(where: str, size: int) -> ValueError:
    return ValueError(
        f"{where} describes a model that is far larger than its weights file ({size} bytes so far); restore both files"
    )
