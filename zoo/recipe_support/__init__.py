"""The verbs of zoo (``zoo.train``, ``zoo.evaluate``, ...): one function in the recipe of the same name.

Recipes are the folder ``recipes/`` of a checkout and the package ``zoo.recipes`` of a wheel.
``zoo cp train my_train.py`` copies one to edit; ``zoo train --recipe my_train.py`` runs it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from zoo import paths


def recipe(name: str, file: Path | None = None) -> ModuleType:
    """Return the module of a recipe: a shipped one by name, or a file of the user.

    Args:
        name: verb, such as ``train``.
        file: Python file to use instead of the shipped recipe.

    Raises:
        ValueError: if the file does not exist.
    """
    if file is not None and not file.is_file():
        raise ValueError(f"no recipe {file}; copy one with `zoo cp {name} {file}`")
    module_name = f"zoo.recipes.{name}" if file is None else f"zoo_recipe_{name}"
    if file is None and module_name in sys.modules:
        return sys.modules[module_name]
    spec = spec_from_file_location(module_name, file or paths.recipes() / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(module_name, None)
        raise
    return module


def verb(name: str, file: Path | None = None) -> Callable[..., Any]:
    """Return the function of a verb, from the shipped recipe or from a file of the user.

    Raises:
        ValueError: if the file does not exist or does not define the function.
    """
    function = getattr(recipe(name, file), name, None)
    if not callable(function):
        raise ValueError(f"{file} defines no function {name}(...); copy a recipe with `zoo cp {name} my_{name}.py`")
    return function
