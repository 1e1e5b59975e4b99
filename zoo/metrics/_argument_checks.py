"""Arguments of scores: shapes, numbers of things, shares, claims of units, kinds of values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from numbers import Integral, Real
from typing import Literal

import torch
from torch import Tensor

from zoo.metrics._value_checks import check_binary, check_counts, check_distinct, check_finite, check_range

Kind = Literal["finite", "finite or nan", "binary", "share", "share or nan", "class", "count", "unit", "ids", "any"]


def expect(name: str, value: Tensor, *shape: int | None) -> None:
    """Check a shape given by the user; None stands for any length.

    Raises:
        ValueError: naming the argument, its shape and the expectation.

    Example:
        >>> expect("logits", torch.zeros(2, 3), None, 4)
        Traceback (most recent call last):
        ValueError: logits is (2, 3); expected (any, 4)
    """
    if value.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, value.shape, strict=True)):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} is {tuple(value.shape)}; expected ({wanted})")


def count(name: str, value: object) -> int:
    """Return a number of things given by the user.

    Raises:
        ValueError: if it is not a whole number from 1; names the argument.

    Example:
        >>> count("draws", 3)
        3
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} is {value!r}; expected a whole number, at least 1")
    return int(value)


def fraction(name: str, value: object, *, zero: bool = True) -> float:
    """Return a share given by the user, in 0..1; ``zero`` tells whether 0 is allowed.

    Raises:
        ValueError: if it is not such a share; names the argument.

    Example:
        >>> fraction("share", 0.5)
        0.5
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        share = float(value)
        if 0 < share <= 1 or (share == 0 and zero):
            return share
    raise ValueError(f"{name} is {value!r}; expected a number {'from 0' if zero else 'above 0, up'} to 1")


def claims(unit_ids: Tensor | None, gate: Tensor | None, like: Tensor, num_units: int) -> tuple[Tensor, Tensor]:
    """Bring the two forms in which units can be given into one.

    Args:
        unit_ids: ``(b, k)`` int64 id of each column, -1 for padding; None if the columns are all the units, in order.
        gate: ``(b, k)`` bool, whether the unit makes a claim; None if it always does.
        like: ``(b, k, p)`` hits, which give shape and device.
        num_units: u.

    Returns:
        ``(b, k)`` ids with 0 in place of padding, and the ``(b, k)`` gate, false there.

    Raises:
        ValueError: if a shape does not fit or an id is not that of a unit.
    """
    b, k = like.shape[:2]
    if unit_ids is None:
        expect("hits (without unit_ids)", like, None, num_units, None)
        unit_ids = torch.arange(num_units, device=like.device).expand(b, k)
    expect("unit_ids", unit_ids, b, k)
    unit_ids = unit_ids.to(like.device)
    if bool(((unit_ids < -1) | (unit_ids >= num_units)).any()):
        raise ValueError(
            f"unit_ids holds {int(unit_ids.min())} to {int(unit_ids.max())}; expected -1 to {num_units - 1}"
        )
    real = unit_ids >= 0
    if gate is not None:
        expect("gate", gate, b, k)
        real = real & gate.to(like.device).bool()
    return unit_ids.clamp_min(0), real


def check_kind(name: str, value: Tensor, kind: Kind) -> None:
    """Check that the values of an argument of ``update`` are of its kind.

    Args:
        name: of the argument, as the error calls it.
        value: ``(b, ...)``.
        kind: ``finite`` numbers; ``finite or nan``, NaN where unknown; ``binary`` booleans, or 0 and 1; ``share`` 0 to
            1; ``share or nan``; ``class`` and ``count`` integers from 0; ``unit`` integers from -1, which pads;
            ``ids`` integers that are all different; ``any`` is not checked.

    Raises:
        ValueError: naming the argument, the input and the number.

    Example:
        >>> check_kind("consistency.hits", torch.tensor([[1.0], [0.3]]), "binary")
        Traceback (most recent call last):
        ValueError: consistency.hits of input 1 holds 0.3; expected booleans, or 0 and 1
    """
    _KINDS[kind](name, value)


def _check_known(name: str, value: Tensor) -> None:
    if value.is_floating_point():
        check_finite(name, value.where(~value.isnan(), 0))


_KINDS: dict[Kind, Callable[[str, Tensor], None]] = {
    "finite": check_finite,
    "finite or nan": _check_known,
    "binary": check_binary,
    "share": partial(check_range, low=0, high=1),
    "share or nan": partial(check_range, low=0, high=1, unknown=True),
    "class": check_counts,
    "count": check_counts,
    "unit": partial(check_counts, low=-1),
    "ids": check_distinct,
    "any": lambda _name, _value: None,
}
