"""Models by name. One file in ``zoo/models`` per architecture, named as the architecture; others by entry point.

A third party registers with an entry point of the group ``zoo.models``: ``my_model = "my_package.file:MyModel"``.
"""

from __future__ import annotations

import ast
from fnmatch import fnmatch
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from zoo import paths

if TYPE_CHECKING:
    from zoo.models.base import SelfExplaining

_CLASSES: dict[str, type[SelfExplaining]] = {}


def register(cls: type[SelfExplaining]) -> type[SelfExplaining]:
    """Class decorator: register a model under the name of its file, or under its own ``name``."""
    name = cls.__dict__.get("name") or cls.__module__.rsplit(".", 1)[-1]
    if _CLASSES.get(name, cls).__qualname__ != cls.__qualname__:
        raise ValueError(f"two models are registered as {name!r}: {_CLASSES[name]} and {cls}")
    cls.name = name
    _CLASSES[name] = cls
    return cls


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {e.name: e for e in entry_points(group="zoo.models")}


@cache
def _shipped() -> dict[str, str]:
    """Name -> first docstring line of every file in ``zoo/models`` that registers a model; nothing is imported."""
    found = {}
    for file in sorted((paths.PACKAGE / "models").glob("*.py")):
        text = file.read_text()
        if "@register" in text:
            found[file.stem] = (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]
    return found


def list_models(pattern: str = "*") -> list[str]:
    """Names of all models that match a glob, without importing them."""
    return sorted(n for n in {*_shipped(), *_entry_points(), *_CLASSES} if fnmatch(n, pattern))


def describe(name: str) -> str:
    """The first line of what a shipped model's file says of itself."""
    return _shipped().get(name, "")


def model_class(name: str) -> type[SelfExplaining]:
    """The class registered as ``name``.

    Raises:
        ValueError: if there is none; the message names the nearest.
    """
    if name not in _CLASSES:
        if name in _shipped():
            import_module(f"zoo.models.{name}")
        elif name in _entry_points():
            _CLASSES[name] = _entry_points()[name].load()
        else:
            raise ValueError(
                f"no model {name!r}{paths.did_you_mean(name, list_models())} (known: {', '.join(list_models())})"
            )
    return _CLASSES[name]


def create_model(name: str, **args: Any) -> SelfExplaining:
    """Build a model by name from its flat arguments, with untrained heads.

    Raises:
        ValueError: unknown name or argument (with the nearest), missing or ill-typed argument.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from zoo.config import schema

    cls = model_class(name)
    try:
        typed = OmegaConf.merge(OmegaConf.structured(schema(cls)), args)
    except OmegaConfBaseException as error:
        raise ValueError(f"{name}: {str(error).splitlines()[0]}") from error
    values = OmegaConf.to_container(typed)
    missing = [k for k, v in values.items() if v == "???"]
    if missing:
        raise ValueError(f"{name} needs {', '.join(missing)}")
    return cls(**values)
