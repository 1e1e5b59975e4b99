"""Models, data sources, scores and panels by name: one decorator, one list for each kind.

The file of a shipped model (data source, score, panel) has its name: listing reads file names and imports nothing.
Helper modules begin with ``_``. Other packages add theirs with an entry point of the group ``zoo.models``,
``zoo.data``, ``zoo.scores`` or ``zoo.panels``: ``my_model = "my_package.file:MyModel"``.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from zoo import paths

if TYPE_CHECKING:
    from zoo.model import SelfExplaining
    from zoo.task import Task

C = TypeVar("C", bound=type)


class Registry:
    """Classes of one kind by name.

    Args:
        kind: what the classes are, as error messages call it.
        plural: the same of several.
        group: entry-point group of other packages.
        folders: folders of the package, each public module of which registers one class under its file's name.
    """

    def __init__(self, kind: str, plural: str, group: str, folders: Sequence[str]) -> None:
        self.kind = kind
        self.plural = plural
        self.group = group
        self.folders = tuple(folders)
        self._classes: dict[str, type] = {}
        self._broken: set[str] = set()

    def add(self, cls: C) -> C:
        """Register a class under its own ``name``, or else under the name of its file.

        Raises:
            ValueError: if another class has that name.
        """
        name = cls.__dict__.get("name") or self._entry_name(cls) or cls.__module__.rsplit(".", 1)[-1]
        other = self._classes.get(name, cls)
        if other.__qualname__ != cls.__qualname__:
            raise ValueError(f"two {self.kind} classes are registered as {name!r}: {other} and {cls}")
        cls.name = name  # pyright: ignore[reportAttributeAccessIssue]
        self._classes[name] = cls
        return cls

    @cached_property
    def _files(self) -> dict[str, Path]:
        files = [f for folder in self.folders for f in sorted((paths.PACKAGE / folder).glob("*.py"))]
        return {f.stem: f for f in files if not f.stem.startswith("_")}

    @cached_property
    def _entry_points(self) -> dict[str, EntryPoint]:
        return {e.name: e for e in entry_points(group=self.group)}

    def _entry_name(self, cls: type) -> str | None:
        """Return the name of the entry point of a class of another package; None if it has none."""
        if cls.__module__.startswith("zoo."):
            return None
        value = f"{cls.__module__}:{cls.__qualname__}"
        return next((name for name, entry in self._entry_points.items() if entry.value == value), None)

    def names(self, pattern: str = "*") -> list[str]:
        """Return the names that match a glob, sorted; nothing is imported."""
        known = {*self._files, *self._entry_points, *self._classes} - self._broken
        return sorted(name for name in known if fnmatch(name, pattern))

    def in_folder(self, folder: str) -> list[str]:
        """Return the names of shipped classes in one of the folders, sorted."""
        return sorted(name for name, file in self._files.items() if file.parent == paths.PACKAGE / folder)

    def plugins(self) -> list[str]:
        """Return the names that come from other packages, sorted."""
        return sorted({*self._entry_points} - {*self._files} - self._broken)

    def file(self, name: str) -> Path | None:
        """Return the file of a shipped class; None if there is none."""
        return self._files.get(name)

    def check_name(self, name: str) -> None:
        """Check that there is a class of that name; nothing is imported.

        Raises:
            ValueError: if there is none; the message names the nearest.
        """
        known = self.names()
        if name not in known:
            near = paths.did_you_mean(str(name), known) or f" (known: {', '.join(known)})"
            raise ValueError(f"no {self.kind} {name!r}{near}")

    def describe(self, name: str) -> str:
        """Return the first docstring line of a shipped file; empty for classes of other packages."""
        if name not in self._files:
            return ""
        return (ast.get_docstring(ast.parse(self._files[name].read_text())) or "").split("\n")[0]

    def get(self, name: str) -> Any:
        """Return the class registered as ``name``; its file is imported when first asked for.

        Raises:
            ValueError: if there is none; the message names the nearest.
        """
        if name not in self._classes:
            if name in self._files:
                module = self._files[name].relative_to(paths.PACKAGE).with_suffix("").as_posix().replace("/", ".")
                import_module(f"zoo.{module}")
            elif name in self._entry_points and name not in self._broken:
                self._load(name)
        if name not in self._classes:
            self.check_name(name)
            raise ValueError(
                f"{self._files[name]} registers no {self.kind} {name!r}; decorate its class with @register"
            )
        return self._classes[name]

    def _load(self, name: str) -> None:
        """Load a class of another package; one that cannot be loaded costs one line of warning."""
        entry = self._entry_points[name]
        try:
            cls = entry.load()
            if _BY_KIND.get(str(getattr(cls, "registered_as", None))) is not self:
                raise TypeError(f"{entry.value} is no {self.kind}")
        except Exception as error:  # whatever a foreign package raises at import
            self._broken.add(name)
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            message = f"plug-in {name!r} ({entry.value}) cannot be loaded: {reason}"
            warnings.warn_explicit(message, UserWarning, self.group, 0)  # no source line after it
            return
        for former in [key for key, known in self._classes.items() if known is cls]:
            del self._classes[former]  # the entry point decides the name, and a class is listed once
        cls.name = name
        self._classes[name] = cls

    def all(self) -> dict[str, Any]:
        """Return all classes by name; imports every file."""
        classes = {}
        for name in self.names():
            try:
                classes[name] = self.get(name)
            except ValueError:
                if name in self.names():  # neither broken nor listed under another name by now
                    raise
        return classes


MODELS = Registry("model", "models", "zoo.models", ["models", "models/baselines"])
DATA = Registry(
    "data",
    "data sources",
    "zoo.data",
    [f"data/{d}" for d in ("concepts", "games", "images", "own", "sequences", "tables", "text")],
)
SCORES = Registry(
    "score",
    "scores",
    "zoo.scores",
    [
        f"metrics/{d}"
        for d in (
            *(
                "attribution_maps",
                "concept_purity",
                "concepts",
                "faithfulness",
                "parts",
                "positions",
                "regression",
                "sparsity",
                "task",
            ),
        )
    ],
)
PANELS = Registry("panel", "panels", "zoo.panels", ["reporting/panels", "reporting/input_panels"])
REGISTRIES = (MODELS, DATA, SCORES, PANELS)
_BY_KIND = {registry.kind: registry for registry in REGISTRIES}


def register(cls: C) -> C:
    """Class decorator: register a model, data source, score or panel.

    The base class says which of the four it is (``registered_as``). The name is that of the file, or the class's own
    ``name``.

    Raises:
        ValueError: if another class of that kind has the name.
        TypeError: if the class derives from none of the four base classes.
    """
    kind = getattr(cls, "registered_as", None)
    if kind not in _BY_KIND:
        raise TypeError(f"{cls.__name__} is neither a SelfExplaining model, Data, Score nor Panel")
    return _BY_KIND[kind].add(cls)


def list_models(pattern: str = "*") -> list[str]:
    """Return the names of all models that match a glob, without importing them."""
    return MODELS.names(pattern)


def list_scores(pattern: str = "*") -> list[str]:
    """Return the names of all scores that match a glob, without importing them."""
    return SCORES.names(pattern)


def model_class(name: str) -> type[SelfExplaining]:
    """Return the model class registered as ``name``.

    Raises:
        ValueError: if there is none; the message names the nearest.
    """
    return MODELS.get(name)


def create_model(name: str, *, task: Task | Mapping[str, Any] | str | None = None, **args: Any) -> SelfExplaining:
    """Build a model by name from its flat arguments, with untrained heads.

    Args:
        name: of the model.
        task: what it answers: a ``Task``, its plain values, or ``regression`` or ``multilabel``; None for a
            classification.
        args: arguments of the model; ``backbone`` may be a module of your own.

    Raises:
        ValueError: unknown name or argument (with the nearest), missing or ill-typed argument, or a task that the model
            cannot do.

    Example:
        >>> import zoo
        >>> zoo.create_model("blackbox", num_classes=2, backbone="mlp", input_shape=[4]).name
        'blackbox'
        >>> zoo.create_model("blackbox", task="regression", backbone="mlp", input_shape=[4]).task.outputs
        1
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from torch import nn

    from zoo.config import MISSING, hide, plain, schema, show

    cls = model_class(name)
    answered = _task_of(cls, task, args)
    if answered is not None and args.get("num_classes") is None:
        args["num_classes"] = answered.outputs
    modules = {key: value for key, value in args.items() if key == "backbone" and isinstance(value, nn.Module)}
    try:
        names = {key: "own" for key in modules}  # refused if the model has no such argument
        typed = OmegaConf.merge(OmegaConf.structured(schema(cls)), hide(plain({**args, **names})))
    except OmegaConfBaseException as error:
        raise ValueError(f"{name}: {str(error).splitlines()[0]}") from error
    values = plain(typed)
    missing = [k for k, v in values.items() if v == MISSING]
    if cls.input_kind == "numbers" and "num_classes" in values and values["num_classes"] is None:
        missing.append("num_classes")
    if missing:
        raise ValueError(f"{name} needs {', '.join(missing)}")
    model = cls(**show(values) | modules)  # pyright: ignore[reportCallIssue]
    if answered is not None:
        model.task = answered
    return model


def _task_of(
    cls: type[SelfExplaining], task: Task | Mapping[str, Any] | str | None, args: Mapping[str, Any]
) -> Task | None:
    """Return the task of a model to be built; None for the classification that its arguments imply.

    Raises:
        ValueError: if the model cannot do it; the message says which models can.
    """
    from zoo.task import TASKS, Classification, MultiLabel, Regression, Task, task_from

    if task is None:
        return None
    kind = task if isinstance(task, str) else task.kind if isinstance(task, Task) else task.get("kind")
    if kind not in TASKS:
        raise ValueError(f"task is {kind!r}{paths.did_you_mean(str(kind), list(TASKS))}; expected {', '.join(TASKS)}")
    if kind not in cls.tasks:
        able = [name for name, model in MODELS.all().items() if kind in model.tasks]
        raise ValueError(f"{cls.name} cannot do {kind}; {', '.join(able)} can")
    if isinstance(task, Task):
        return task
    if not isinstance(task, str):
        return task_from(task)
    if kind == "regression":
        return Regression()
    classes = args.get("num_classes")
    if classes is None:
        raise ValueError(f"num_classes is missing; a {kind} needs the number of its outputs")
    return Classification(classes) if kind == "classification" else MultiLabel(classes)
