"""Inherently interpretable models on one set of scores. Names are imported when first used.

The verbs ``train``, ``finetune``, ``evaluate``, ``explain``, ``compare``, ``intervene``, ``edit``, ``predict``,
``report``, ``steer``, ``export``, ``push`` and ``pull`` are those of the command line: functions that return objects
and print nothing; the classes of these objects are in ``zoo.recipe_support.recipe_results``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zoo._version import __version__ as __version__
from zoo.runtime import quick_imports

quick_imports.install()

_MODULES = {
    "AdditiveClassifier": "zoo.estimators",
    "AdditiveRegressor": "zoo.estimators",
    "Batch": "zoo.batch",
    "Contrast": "zoo.explanation",
    "Explanation": "zoo.explanation",
    "Phase": "zoo.phase",
    "SelfExplaining": "zoo.model",
    "Units": "zoo.explanation",
    "create_data": "zoo.data",
    "create_model": "zoo.registry",
    "list_checkpoints": "zoo.checkpoint",
    "list_data": "zoo.data",
    "list_models": "zoo.registry",
    "list_scores": "zoo.registry",
    "load": "zoo.checkpoint",
    "plot": "zoo.reporting.plot",
    "register": "zoo.registry",
}
_VERBS = (
    "compare",
    "edit",
    "evaluate",
    "explain",
    "export",
    "finetune",
    "intervene",
    "migrate",
    "predict",
    "pull",
    "push",
    "report",
    "steer",
    "train",
)
__all__ = [
    "AdditiveClassifier",
    "AdditiveRegressor",
    "Batch",
    "Contrast",
    "Explanation",
    "Phase",
    "SelfExplaining",
    "Units",
    "compare",
    "create_data",
    "create_model",
    "edit",
    "evaluate",
    "explain",
    "export",
    "finetune",
    "intervene",
    "list_checkpoints",
    "list_data",
    "list_models",
    "list_scores",
    "load",
    "migrate",
    "plot",
    "predict",
    "pull",
    "push",
    "register",
    "report",
    "steer",
    "train",
]

if TYPE_CHECKING:
    from recipes.compare import compare
    from recipes.edit import edit
    from recipes.evaluate import evaluate
    from recipes.explain import explain
    from recipes.export import export
    from recipes.finetune import finetune
    from recipes.intervene import intervene
    from recipes.migrate import migrate
    from recipes.predict import predict
    from recipes.pull import pull
    from recipes.push import push
    from recipes.report import report
    from recipes.steer import steer
    from recipes.train import train
    from zoo.batch import Batch
    from zoo.checkpoint import list_checkpoints, load
    from zoo.data import create_data, list_data
    from zoo.estimators import AdditiveClassifier, AdditiveRegressor
    from zoo.explanation import Contrast, Explanation, Units
    from zoo.model import SelfExplaining
    from zoo.phase import Phase
    from zoo.registry import create_model, list_models, list_scores, register
    from zoo.reporting.plot import plot


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        return import_module("zoo.recipe_support").verb(name)
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
