"""The arguments of a model or a data source, read off its ``__init__``."""

from __future__ import annotations

import inspect
import typing
from dataclasses import field, make_dataclass
from functools import reduce
from operator import or_
from types import NoneType, UnionType
from typing import Any, Union


def schema(cls: type) -> type:
    """A dataclass of the keyword arguments of ``cls.__init__``, for OmegaConf to check against.

    Where ``__init__`` hands ``**others`` on, the arguments of the base class are part of it.

    Raises:
        TypeError: if an argument has no type that YAML can hold; our own mistake, found by ``zoo validate``.
    """
    entries: dict[str, Any] = {}
    for owner in (c for c in cls.__mro__ if "__init__" in vars(c)):
        hints = typing.get_type_hints(owner.__init__)
        parameters = list(inspect.signature(owner.__init__).parameters.values())[1:]
        for parameter in parameters:
            name, default = parameter.name, parameter.default
            if parameter.kind is parameter.VAR_KEYWORD or name in entries:
                continue
            if name not in hints:
                raise TypeError(f"{owner.__name__}.__init__: {name} has no type")
            if isinstance(default, (list, dict)):
                value = field(default_factory=lambda d=default: d.copy())
            else:
                value = field(default="???" if default is parameter.empty else default)
            entries[name] = (name, _plain(hints[name]), value)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return make_dataclass(cls.__name__, list(entries.values()), kw_only=True)


def _plain(hint: Any) -> Any:
    """The part of a type that OmegaConf checks; a union of containers is left to the class itself."""
    if typing.get_origin(hint) in (Union, UnionType):
        arms = typing.get_args(hint)
        if own := [a for a in arms if getattr(a, "__module__", "").startswith("torch.")]:
            return _plain(reduce(or_, [a for a in arms if a not in own]))  # a module is no value of a config
        rest = [a for a in arms if a is not NoneType]
        if len(rest) > 1 and any(typing.get_origin(a) in (list, dict, tuple) for a in rest):
            return Any
    return hint
