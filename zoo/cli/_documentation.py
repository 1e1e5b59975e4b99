"""Documentation of a registered class: its file, its docstring, and those of the classes that it refers to."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path

from zoo import paths
from zoo.registry import Registry


def documentation(registry: Registry, name: str) -> str:
    """Return the docstrings of a registered class and of its file.

    The class's docstring lists its arguments. A shipped file is only read; a class of another package is imported.

    Raises:
        ValueError: if there is no such class, or it cannot be imported.
    """
    file = registry.file(name)
    if file is not None:
        module = ast.parse(file.read_text())
        texts = [ast.get_docstring(module)]
        for node in module.body:
            if isinstance(node, ast.ClassDef) and any(_is_register(d) for d in node.decorator_list):
                texts.append(f"{node.name}: {ast.get_docstring(node) or ''}")
        texts += _documented_bases("\n".join(text for text in texts if text))
    else:
        cls = registry.get(name)
        described = f"{cls.__module__}.{cls.__qualname__}: {inspect.getdoc(cls) or ''}"
        texts = [inspect.getdoc(sys.modules[cls.__module__]), described]
    return "\n\n".join(text for text in texts if text)


def _documented_bases(text: str) -> list[str]:
    """Return the docstrings of the classes whose arguments a docstring refers to, and of those that these refer to."""
    found = []
    for module, name in re.findall(r"arguments of\s+``(zoo\.[\w.]+)\.(\w+)``", text):
        file = paths.PACKAGE.parent / Path(*module.split(".")).with_suffix(".py")
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                base = f"{name}: {ast.get_docstring(node) or ''}"
                found += [base, *_documented_bases(base)]
    return found


def _is_register(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Name) and decorator.id == "register"
