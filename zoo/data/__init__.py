"""Data sources by name; the file of a source is imported at first use."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from zoo.paths import did_you_mean
from zoo.registry import DATA

if TYPE_CHECKING:
    from zoo.data.base import Data


def list_data() -> list[str]:
    """Return the names of all data sources."""
    return DATA.names()


def data_class(name: str) -> type[Data]:
    """Return the class of a data source.

    Raises:
        ValueError: if there is no source of this name.
    """
    return DATA.get(name)


def create_data(name: str, **args: object) -> Data:
    """Return a data source; nothing is read yet.

    Args:
        name: one of ``list_data()``.
        args: arguments of its class.

    Raises:
        ValueError: if the name or an argument is unknown, missing, of the wrong type or out of range.

    Example:
        >>> create_data("digits", size=16).input_shape
        (3, 16, 16)
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from zoo.config import hide, plain, schema, show

    cls = data_class(name)
    kinds = schema(cls)
    typed = OmegaConf.structured(kinds)
    known = list(typed)
    for arg, value in args.items():
        if arg not in known:
            raise ValueError(f"data {name!r} takes no argument {arg!r}{did_you_mean(arg, known)}")
        try:
            OmegaConf.update(typed, arg, hide(plain(value)), merge=False)
        except OmegaConfBaseException as error:
            expected = inspect.formatannotation(kinds.__dataclass_fields__[arg].type)
            raise ValueError(f"data.{arg} is {value!r}; expected {expected}") from error
    for arg in known:
        if OmegaConf.is_missing(typed, arg):
            raise ValueError(f"data {name!r} needs the argument {arg!r}: pass data.{arg}=...")
    values = show(plain(typed))
    return cls(**{arg: values[arg] for arg in args})
