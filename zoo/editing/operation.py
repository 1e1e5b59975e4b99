"""An operation of an edit, as a model declares it, and its arguments as a person writes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from zoo.editing.state import EditState
from zoo.paths import did_you_mean

Kind = Literal["number", "text", "class", "unit", "bins"]
REQUIRED: Any = object()  # an argument without a default


@dataclass(frozen=True)
class Argument:
    """One argument of an operation.

    Attributes:
        kind: ``number``, ``text``, ``class``, ``unit`` or ``bins``, or the words to choose from.
        default: value where it is left out; ``REQUIRED`` for none.
    """

    kind: Kind | tuple[str, ...]
    default: Any = REQUIRED


@dataclass(frozen=True)
class Operation:
    """What a model can do to itself.

    Attributes:
        apply: called with the state before, the unit id (if ``on_unit``) and the arguments by name; changes the tensors
            of the model and returns the state after, None for the same. Names of the state are those of all units.
        about: what it does, in one line.
        arguments: by name.
        on_unit: whether it is about one unit.
        needs_data: whether it needs the training split: ``apply`` then takes its loader as ``train``.

    Example:
        >>> Operation(lambda state, unit, value: None, "set a weight", {"value": Argument("number")}).on_unit
        True
    """

    apply: Callable[..., EditState | None]
    about: str
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    on_unit: bool = True
    needs_data: bool = False


def find_operation(operations: Mapping[str, Operation], name: str, model: str) -> Operation:
    """Return an operation by name.

    Raises:
        ValueError: if the model has none of that name; the message names the nearest.
    """
    if name not in operations:
        known = sorted(operations)
        near = did_you_mean(name, known)
        raise ValueError(f"{model} has no operation {name!r}{near} (has: {', '.join(known)})")
    return operations[name]


def find_unit(names: Sequence[str], given: str | int, kind: str = "unit") -> int:
    """Return the id of a unit by name, by number, or by ``#`` and number where a name is that number.

    Args:
        names: of all units.
        given: what a person wrote.
        kind: of the units, for the error.

    Raises:
        ValueError: if there is no such unit, or several have that name.

    Example:
        >>> find_unit(["wing #0", "wing #1"], "wing #1"), find_unit(["a", "b"], 0), find_unit(["1", "0"], "#1")
        (1, 0, 1)
    """
    if isinstance(given, str):
        ids = [i for i, name in enumerate(names) if name == given]
        if len(ids) > 1:
            raise ValueError(f"{len(ids)} {kind}s are named {given!r}; name one by its number: #{ids[0]} or #{ids[1]}")
        if ids:
            return ids[0]
        digits = given.removeprefix("#")
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
            raise ValueError(f"there is no {kind} {given!r}{did_you_mean(given, list(names))}")
        given = int(digits)
    if not 0 <= given < len(names):
        raise ValueError(f"there is no {kind} {given}; expected 0 to {len(names) - 1}, or a name")
    return given


def read_arguments(
    operation: Operation,
    given: Mapping[str, Any],
    *,
    names: Sequence[str],
    classes: Sequence[str],
    kind: str = "unit",
) -> dict[str, Any]:
    """Return the arguments of an operation as its function takes them.

    Args:
        operation: whose arguments they are.
        given: values by name, as they were written.
        names: of all units.
        classes: names of all classes, or their numbers.
        kind: of the units, for errors.

    Raises:
        ValueError: if an argument is unknown or missing, or a value is not of its kind.
    """
    for name in given:
        if name not in operation.arguments:
            known = sorted(operation.arguments)
            has = f"(has: {', '.join(known)})" if known else "(it has none)"
            raise ValueError(f"there is no argument {name!r}{did_you_mean(name, known)} {has}")
    read = {}
    for name, argument in operation.arguments.items():
        if name not in given:
            if argument.default is REQUIRED:
                raise ValueError(f"{name} is missing; expected {_expected(argument.kind)}")
            read[name] = argument.default
            continue
        read[name] = _value(name, argument.kind, given[name], names, classes, kind)
    return read


def _expected(kind: Kind | tuple[str, ...]) -> str:
    if isinstance(kind, tuple):
        return " or ".join(kind)
    return {"number": "a number", "text": "a text", "class": "a class", "unit": "the name of a unit"}.get(kind, "bins")


def _value(
    name: str, kind: Kind | tuple[str, ...], value: Any, names: Sequence[str], classes: Sequence[str], units: str
) -> Any:
    wrong = ValueError(f"{name} is {value!r}; expected {_expected(kind)}")
    if isinstance(kind, tuple):
        if value not in kind:
            raise ValueError(f"{wrong}{did_you_mean(str(value), list(kind))}")
        return value
    if kind == "bins":
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise wrong
    if kind == "number":
        try:
            number = float(value)
        except ValueError as error:
            raise wrong from error
        if not math.isfinite(number):
            raise wrong
        return number
    if kind == "text":
        if not isinstance(value, str) or not value.strip():
            raise wrong
        return value
    if isinstance(value, float):
        raise wrong
    return find_unit(classes if kind == "class" else names, value, "class" if kind == "class" else units)
