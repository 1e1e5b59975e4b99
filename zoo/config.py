"""Typed run configs: YAML and ``key=value`` in, checked ``Settings`` out.

The schema of ``model`` and ``data`` is read off the ``__init__`` of the class that they name, so there is no second
list of arguments to keep. A misspelt key or a wrong type is an error that names the key and the nearest right one.

OmegaConf checks types; texts are hidden from its interpolation, so that names of the data such as ``${x}`` or ``???``
stay as they are. ``${oc.env:NAME}`` in a config that a user names or in an override is replaced when it is read.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zoo import paths
from zoo.phase import Phase
from zoo.plain_yaml import from_config_yaml, to_config_yaml

VERSION = 2  # of the layout of a config; raised when a key is renamed, see ``migrate``
ENVIRONMENT = re.compile(r"\$\{oc\.env:([A-Za-z_][A-Za-z0-9_]*)(?:,([^{}]*))?\}")
MISSING = "???"  # OmegaConf's mark of a value that must be given
_HIDDEN = "\0"  # begins a text that OmegaConf must not read, in hexadecimal digits

Classes = Callable[[str, str], type]  # class of a section ("model" or "data") by name


@dataclass
class TrainerArgs:
    """Where and how a run computes.

    Attributes:
        accelerator: Lightning's accelerator.
        devices: how many.
        strategy: Lightning's strategy; ``ddp`` for several processes.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        compile: run the backbone through ``torch.compile``.
        channels_last: train a backbone with its weights laid out channels last, which is faster for CNNs.
        loggers: trackers beside the CSV file that every run writes: tensorboard, wandb, mlflow.
        save_every: steps between two resumable checkpoints inside an epoch; one is always written after each epoch.
    """

    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    compile: bool = False
    channels_last: bool = True
    loggers: list[Literal["tensorboard", "wandb", "mlflow"]] = field(default_factory=list)
    save_every: int | None = None


@dataclass
class Finetune:
    """Where a run starts.

    Attributes:
        source: checkpoint (name, folder or ``hub:org/name``), YAML key ``from``.
        replace: parts that start afresh; everything else must fit exactly.
    """

    source: str | None = None
    replace: list[str] = field(default_factory=list)


@dataclass
class TaskArgs:
    """What is declared about the task; its kind follows from the target of the data.

    Attributes:
        loss: of a regression, ``squared`` or ``huber``; null for squared.
        delta: of the Huber loss, in standard deviations of y.
        class_weights: of the loss: ``balanced``, a weight by class name, or a list; null for equal ones.
        smoothing: of the labels of a classification.
        calibrate: fit a temperature on validation samples.
        cost: of a wrong answer to an input of a class, ``{ill: 10, well: 1}``; or ``{false_positive: 1,
            false_negative: 10}``, the second class or the presence of a label being positive. The threshold of least
            cost is chosen on validation samples. Null for the largest logit.
        max_risk: error rate that answers may have on validation samples; the model abstains from less confident ones.
    """

    loss: str | None = None
    delta: float = 1.0
    class_weights: Any = None
    smoothing: float = 0.0
    calibrate: bool = True
    cost: dict[str, float] | None = None
    max_risk: float | None = None


@dataclass
class Config:
    """A run.

    Attributes:
        model: ``name`` and the arguments of that model.
        data: ``name`` and the arguments of that data module.
        phases: stages by name, in order.
        task: loss, class weights, costs of errors; the kind of task follows from the data.
        finetune: where to start, if not from scratch.
        reference: config (or run folder) of the black box whose accuracy is printed beside this run's.
        suite: config of the scores, under ``configs/evaluate``.
        trainer: where and how to compute.
        version: of the layout of this config, see ``migrate``.
        seed: of weights; and, as the default of ``data.seed``, of order, augmentation and held-out validation share.
    """

    model: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    phases: dict[str, Phase] = field(default_factory=dict)
    task: TaskArgs = field(default_factory=TaskArgs)
    finetune: Finetune | None = None
    reference: str | None = None
    suite: str = "quick"
    trainer: TrainerArgs = field(default_factory=TrainerArgs)
    seed: int = 0
    version: int = VERSION


def migrate(config: dict[str, Any]) -> dict[str, Any]:
    """Return a run config written by an earlier version of zoo in today's layout.

    Version 1 (no ``version`` key) called the reference model ``yardstick``.

    Args:
        config: plain mapping as read from ``config.yaml``.

    Raises:
        ValueError: if a later version of zoo wrote it.
    """
    config = dict(config)
    version = config.get("version", 1)
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ValueError(f"config has version {version!r}; this zoo reads versions 1 to {VERSION}")
    if version == 1 and "yardstick" in config:
        config["reference"] = config.pop("yardstick")
    return config | {"version": VERSION}


class Settings(dict[str, Any]):
    """A mapping whose keys are attributes too, as are those of the mappings in it; a text is nothing but a text.

    >>> config = Settings.of({"data": {"target": "${x}"}})
    >>> config.data.target
    '${x}'
    """

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """Return a mapping with all mappings in it as settings."""
        return cls({str(key): _settings(value) for key, value in values.items()})

    def __getattr__(self, key: str) -> Any:
        if key in self:
            return self[key]
        raise AttributeError(f"there is no {key!r}{paths.did_you_mean(key, list(self))}")

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = _settings(value)


def _settings(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Settings.of(value)
    return [_settings(item) for item in value] if isinstance(value, list | tuple) else value


def plain(value: Any) -> Any:
    """Return settings or an OmegaConf node as plain Python values; nothing is interpolated."""
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, enum_to_str=True)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def hide(value: Any) -> Any:
    """Return plain values in which no text means anything to OmegaConf; ``show`` returns the texts."""
    if isinstance(value, Mapping):
        return {key: hide(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [hide(item) for item in value]
    if isinstance(value, str) and ("${" in value or value == MISSING or value.startswith(_HIDDEN)):
        return _HIDDEN + value.encode("utf-8", "surrogatepass").hex()
    return value


def show(value: Any) -> Any:
    """Return plain values, or the text of an error, as they were before ``hide``.

    >>> show(hide({"names": ["${x", "???", "plain"]}))
    {'names': ['${x', '???', 'plain']}
    """
    if isinstance(value, Mapping):
        return {key: show(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [show(item) for item in value]
    if isinstance(value, str) and value.startswith(_HIDDEN):
        return bytes.fromhex(value[1:]).decode("utf-8", "surrogatepass")
    return value


def read_yaml(file: Path) -> Any:
    """Return the plain values of a YAML file.

    Raises:
        ValueError: if it cannot be read, is not UTF-8 or not valid YAML.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: {' '.join(str(error).split())}") from error
    return from_config_yaml(text, str(file))


def load(name: str, overrides: Sequence[str] = (), *, classes: Classes | None = None) -> Settings:
    """Read a config, apply overrides, check everything.

    Args:
        name: a shipped config (``protopnet/digits``) or the path of a YAML file.
        overrides: ``key=value`` strings, values in YAML; ``~key`` deletes a key of the file.
        classes: ``classes("model", "protopnet")`` returns the class whose ``__init__`` types that section; None
            leaves the arguments of model and data unchecked, and needs no torch.

    Returns:
        The resolved config, closed against unknown keys.

    Raises:
        ValueError: unreadable file, unknown key (with the nearest), wrong type, an override that names no key.
    """
    file = paths.config_file(name)
    raw = read_yaml(file)
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise ValueError(f"{file}: a config is a mapping with the keys {', '.join(Config.__dataclass_fields__)}")
    return check(_environment(raw, str(file)), overrides, where=str(file), classes=classes)


def _environment(value: Any, where: str, key: str = "") -> Any:
    """Return values with ``${oc.env:NAME}`` or ``${oc.env:NAME,default}`` replaced by the variable of that name."""
    if isinstance(value, Mapping):
        return {k: _environment(item, where, f"{key}.{k}".lstrip(".")) for k, item in value.items()}
    if isinstance(value, list):
        return [_environment(item, where, f"{key}[{i}]") for i, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def read(match: re.Match[str]) -> str:
        variable = os.environ.get(match[1], match[2])
        if variable is None:
            raise ValueError(f"{where}: environment variable {match[1]!r} is not set (at {key})")
        return variable

    return ENVIRONMENT.sub(read, value)


def check(
    raw: Mapping[str, Any], overrides: Sequence[str] = (), *, where: str, classes: Classes | None = None
) -> Settings:
    """Check a raw config and apply overrides, see ``load``; ``where`` is named in errors."""
    values = migrate(plain(raw))
    for text in overrides:
        if text.startswith("~"):
            _delete(values, text, where)
    overrides = [text for text in overrides if not text.startswith("~")]
    finetune = values.get("finetune")
    if isinstance(finetune, dict) and "from" in finetune:
        values["finetune"] = {("source" if key == "from" else key): value for key, value in finetune.items()}
    for section in ("model", "data"):
        if isinstance(values.get(section), dict):  # ??? stands for an argument that must be given
            values[section] = {key: value for key, value in values[section].items() if value != MISSING}
    values = hide(values)
    config: Any  # typed by the schema of ``Config``, of which type checkers know nothing
    try:
        config = OmegaConf.merge(OmegaConf.structured(Config), values)
    except OmegaConfBaseException as error:
        raise ValueError(f"{where}: {_first_line(error)}") from error
    for section in ("model", "data"):
        chosen = [o.split("=", 1)[1] for o in overrides if o.startswith(f"{section}.name=")]
        name = chosen[-1] if chosen else config[section].get("name")
        if not name:
            raise ValueError(f"{where}: {section}.name is missing")
        if classes:
            known = OmegaConf.structured(schema(classes(section, name)))
            given = {key: value for key, value in values.get(section, {}).items() if key != "name"}
            try:
                # a schema closed against unknown keys, under the section's own name so that errors read right
                typed = OmegaConf.merge(OmegaConf.create({section: known}), {section: given})
            except OmegaConfBaseException as error:
                foreign = [key for key in given if chosen and key not in known]
                hint = f"; delete it with '~{section}.{foreign[0]}'" if foreign else ""
                raise ValueError(f"{where}: {_first_line(error)}{hint}") from error
            config[section] = {"name": name, **plain(typed)[section]}
            OmegaConf.set_struct(config[section], True)
    for text in overrides:
        _override(config, text, classes)
    seeded = "seed" in values.get("data", {}) or any(text.startswith("data.seed=") for text in overrides)
    if "seed" in config.data and not seeded:
        config.data.seed = config.seed
    for section in ("model", "data"):
        for key in config[section]:
            if OmegaConf.is_missing(config[section], key):
                raise ValueError(f"{where}: {section}.{key} is missing; {config[section].name} needs it")
    return Settings.of(show(plain(config)))


def keyword_overrides(keys: Mapping[str, Any]) -> list[str]:
    """Return keyword arguments of a verb as ``key=value`` overrides.

    Args:
        keys: value by top-level key of a config; a mapping gives keys of that section, or phases and their keys.

    Raises:
        ValueError: if a key is not one of a config, or YAML cannot hold a value.

    Example:
        >>> keyword_overrides({"seed": 1, "data": {"limit": 20}, "phases": {"joint": {"epochs": 5}}})
        ['seed=1', 'data.limit=20', 'phases.joint.epochs=5']
    """
    texts = []
    known = list(Config.__dataclass_fields__)
    for key, value in keys.items():
        if key not in known:
            raise ValueError(f"unexpected argument {key!r}{paths.did_you_mean(key, known)} (keys: {', '.join(known)})")
        depth = 2 if key == "phases" else 1  # phases are a mapping of sections
        texts += [f"{k}={_yaml(k, v)}" for k, v in _sections(key, value, depth)]
    return texts


def _sections(key: str, value: Any, depth: int) -> list[tuple[str, Any]]:
    """Return a mapping as dotted keys and values, ``depth`` levels deep."""
    if not depth or not isinstance(value, Mapping):
        return [(key, value)]
    return [leaf for k, v in value.items() for leaf in _sections(f"{key}.{k}", v, depth - 1)]


def _yaml(key: str, value: Any) -> str:
    """Return a value as one line of YAML."""
    try:
        return json.dumps(value, default=_jsonable, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{key} is {value!r}; expected numbers, text, lists and mappings") from error


def _jsonable(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(type(value).__name__)


def check_trained_overrides(overrides: Sequence[str]) -> None:
    """Check that overrides of a trained model change only its data and accelerator.

    Raises:
        ValueError: an override of what training fixed.
    """
    for text in overrides:
        if not text.startswith(("data.", "~data.", "trainer.accelerator=")):
            raise ValueError(f"override {text!r}: a trained model is fixed; expected data.* or trainer.accelerator")


def _delete(tree: dict[str, Any], text: str, where: str) -> None:
    """Apply one override ``~key``: delete a key of the file, with everything below it."""
    node: Any = tree
    parts = text.removeprefix("~").split(".")
    for depth, part in enumerate(parts):
        known = [str(key) for key in node] if isinstance(node, dict) else []
        if part not in known:
            near = paths.did_you_mean(part, known) or f" (has: {', '.join(known)})"
            raise ValueError(f"override {text!r}: {where} has no key {'.'.join(parts[: depth + 1])!r}{near}")
        if depth + 1 < len(parts):
            node = node[part]
    del node[parts[-1]]


def _override(config: DictConfig, text: str, classes: Classes | None) -> None:
    """Apply one override; without ``classes`` the arguments of model and data are not checked."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"override {text!r}; expected key=value, such as data.batch_size=32, or '~key' to delete it")
    where = f"override {text!r}" if len(text) <= 100 else f"override {text[:100]!r}..."
    parsed = from_config_yaml(f"v: {value}" if value else "v: null", where)
    if not isinstance(parsed, dict) or list(parsed) != ["v"]:
        raise ValueError(f"{where}; expected one value")
    parsed = _environment(parsed["v"], where, key)
    parsed = parsed if parsed == MISSING else hide(parsed)
    key = "finetune.source" if key == "finetune.from" else key
    if key == "finetune" and isinstance(parsed, dict) and "from" in parsed:
        parsed["source"] = parsed.pop("from")
    section, _, argument = key.partition(".")
    if section == "finetune" and config.finetune is None:
        config.finetune = Finetune()
    try:
        if section in ("model", "data") and argument and classes:
            if argument == "name":
                return
            types = OmegaConf.structured(schema(classes(section, config[section].name)))
            typed = OmegaConf.create({section: types})
            OmegaConf.set_struct(typed, True)
            for tree, free in ((typed, _free_form(typed, key)), (config, True)):
                parent = key.rpartition(".")[0]
                if free and parent != section and OmegaConf.select(tree, parent) is None:
                    OmegaConf.update(tree, parent, {}, force_add=True)
                OmegaConf.update(tree, key, parsed, force_add=free, merge=False)
        else:
            OmegaConf.set_struct(config, True)
            whole = key.count(".") < 2  # a whole phase is merged; the mappings in it are replaced
            unchecked = section in ("model", "data") and bool(argument)
            free = unchecked or _free_form(config, key)
            OmegaConf.update(config, key, parsed, force_add=free, merge=whole)
    except OmegaConfBaseException as error:
        raise ValueError(f"override {text!r}: {_first_line(error)}") from error


def _free_form(config: DictConfig, key: str) -> bool:
    """Whether ``key`` adds to a mapping that is open by design: learning rates, loss weights, arguments of methods."""
    parts = key.split(".")
    if parts[0] == "phases" and len(parts) > 3 and parts[1] in config.phases:
        return parts[2] in ("lr", "loss", "then")
    return len(parts) > 2 and parts[0] in ("model", "data") and parts[1].endswith("_args")


def _first_line(error: Exception) -> str:
    message = re.sub(f"{_HIDDEN}(?:[0-9a-f]{{2}})*", lambda match: show(match[0]), str(error))
    text = message.strip().splitlines()
    where = next((line.split(":", 1)[1].strip() for line in text if line.strip().startswith("full_key")), "")
    return f"{text[0]}" + (f" (at {where})" if where else "")


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


def save(config: Mapping[str, Any], file: Path) -> None:
    """Write a config as YAML."""
    file.write_text(to_config_yaml(plain(config)), encoding="utf-8")
