"""Checks of numbers passed to scores: finite, in a range, 0 or 1, counts, classes, identities."""

from __future__ import annotations

import torch
from torch import Tensor

SLACK = 1e-5  # beyond a range, by rounding in single precision


def check_finite(name: str, value: Tensor) -> None:
    """Check that every number is finite; integers and booleans are.

    Raises:
        ValueError: naming the argument, the input and the number.

    Example:
        >>> check_finite("logits", torch.tensor([[0.0], [float("nan")]]))
        Traceback (most recent call last):
        ValueError: logits of input 1 holds nan; expected finite numbers
    """
    if not value.is_floating_point() or not value.numel():
        return
    if bool(value.detach().sum().isfinite()):  # one pass; a sum of finite numbers can overflow, hence the second
        return
    finite = value.detach().isfinite()
    if not bool(finite.all()):
        row, number = _first(value, ~finite)
        raise ValueError(f"{name}{row} holds {number:g}; expected finite numbers")


def check_range(name: str, value: Tensor, low: float, high: float, *, unknown: bool = False, hint: str = "") -> None:
    """Check that every number is in a range.

    Args:
        name: of the argument.
        value: ``(b, ...)``.
        low: lowest value allowed.
        high: highest value allowed.
        unknown: whether NaN is allowed and means an unknown value.
        hint: what was probably meant, after the expectation.

    Raises:
        ValueError: naming the argument, the input and the number.

    Example:
        >>> check_range("predicted", torch.tensor([[0.5], [3.0]]), 0, 1, hint="apply a sigmoid to logits")
        Traceback (most recent call last):
        ValueError: predicted of input 1 holds 3; expected 0 to 1; apply a sigmoid to logits
    """
    value = value.detach()
    fits = (value >= low - SLACK) & (value <= high + SLACK)
    if unknown:
        fits = fits | value.isnan()
    if not bool(fits.all()):
        row, number = _first(value, ~fits)
        more = (", or NaN where unknown" if unknown else "") + (f"; {hint}" if hint else "")
        raise ValueError(f"{name}{row} holds {number:g}; expected {low:g} to {high:g}{more}")


def check_binary(name: str, value: Tensor) -> None:
    """Check that values are booleans, or numbers that are all 0 or 1.

    Raises:
        ValueError: naming the argument, the input and the number.

    Example:
        >>> check_binary("active", torch.tensor([[0.0, 1.0], [0.3, 1.0]]))
        Traceback (most recent call last):
        ValueError: active of input 1 holds 0.3; expected booleans, or 0 and 1
    """
    if value.dtype == torch.bool:
        return
    other = (value != 0) & (value != 1)
    if bool(other.any()):
        row, number = _first(value, other)
        raise ValueError(f"{name}{row} holds {number:g}; expected booleans, or 0 and 1")


def check_counts(name: str, value: Tensor, low: int = 0) -> None:
    """Check that values are whole numbers from ``low``.

    Raises:
        ValueError: naming the argument and the number or type.

    Example:
        >>> check_counts("counts", torch.tensor([[3], [-1]]))
        Traceback (most recent call last):
        ValueError: counts of input 1 holds -1; expected numbers from 0
    """
    if value.is_floating_point() or value.dtype == torch.bool:
        raise ValueError(f"{name} is {value.dtype}; expected integers from {low}")
    if bool((value < low).any()):
        row, number = _first(value, value < low)
        raise ValueError(f"{name}{row} holds {number:g}; expected numbers from {low}")


def check_classes(name: str, value: Tensor, classes: int) -> None:
    """Check that values ``(b, ...)`` are integer classes.

    Raises:
        ValueError: naming the argument, the input and the number, or the type.

    Example:
        >>> check_classes("y", torch.tensor([0, 3]), 3)
        Traceback (most recent call last):
        ValueError: y of input 1 holds 3; expected classes 0 to 2
    """
    if value.is_floating_point() or value.dtype == torch.bool:
        raise ValueError(f"{name} is {value.dtype}; expected integer classes 0 to {classes - 1}")
    wrong = (value < 0) | (value >= classes)
    if bool(wrong.any()):
        row, number = _first(value, wrong)
        raise ValueError(f"{name}{row} holds {number:g}; expected classes 0 to {classes - 1}")


def check_distinct(name: str, value: Tensor) -> None:
    """Check that the identities ``(b,)`` of samples differ.

    Raises:
        ValueError: naming the argument and an identity that occurs twice.

    Example:
        >>> check_distinct("index", torch.tensor([4, 7, 4]))
        Traceback (most recent call last):
        ValueError: index holds 4 twice or more; expected a different number for each sample
    """
    if value.is_floating_point() or value.dtype == torch.bool:
        raise ValueError(f"{name} is {value.dtype}; expected integers, a different one for each sample")
    ids, number = value.unique(return_counts=True)
    if len(ids) < len(value):
        raise ValueError(
            f"{name} holds {int(ids[number > 1][0])} twice or more; expected a different number for each sample"
        )


def _first(value: Tensor, wrong: Tensor) -> tuple[str, float]:
    """Return the words that name the first input with a wrong number, and that number."""
    place = tuple(wrong.nonzero()[0].tolist())
    number = float(value[place]) if place else float(value)
    return (f" of input {place[0]}" if place else "", number)
