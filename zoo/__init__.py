"""zoo: models that are their own explanation, held to the same scores. Names are loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "create_model": "zoo.registry",
    "list_models": "zoo.registry",
    "load": "zoo.checkpoint",
    "list_checkpoints": "zoo.checkpoint",
    "create_data": "zoo.data",
    "SelfExplaining": "zoo.model",
    "Explanation": "zoo.explanation",
    "Units": "zoo.explanation",
}
__all__ = [
    "SelfExplaining",
    "Explanation",
    "Units",
    "create_data",
    "create_model",
    "list_checkpoints",
    "list_models",
    "load",
]

if TYPE_CHECKING:
    from zoo.checkpoint import list_checkpoints, load
    from zoo.data import create_data
    from zoo.explanation import Explanation, Units
    from zoo.model import SelfExplaining
    from zoo.registry import create_model, list_models


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
