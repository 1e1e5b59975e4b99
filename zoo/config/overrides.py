"""``key=value`` and ``~key`` of the command line, keyword arguments of verbs, environment variables."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zoo import paths
from zoo.config.argument_schema import schema
from zoo.config.keys import Config, Finetune
from zoo.config.plain_yaml import from_config_yaml
from zoo.config.settings import HIDDEN, MISSING, hide, show

ENVIRONMENT = re.compile(r"\$\{oc\.env:([A-Za-z_][A-Za-z0-9_]*)(?:,([^{}]*))?\}")
Classes = Callable[[str, str], type]  # class of a section ("model" or "data") by name


def read_environment(value: Any, where: str, key: str = "") -> Any:
    """Return values with ``${oc.env:NAME}`` or ``${oc.env:NAME,default}`` replaced by the variable of that name."""
    if isinstance(value, Mapping):
        return {k: read_environment(item, where, f"{key}.{k}".lstrip(".")) for k, item in value.items()}
    if isinstance(value, list):
        return [read_environment(item, where, f"{key}[{i}]") for i, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def read(match: re.Match[str]) -> str:
        variable = os.environ.get(match[1], match[2])
        if variable is None:
            raise ValueError(f"{where}: environment variable {match[1]!r} is not set (at {key})")
        return variable

    return ENVIRONMENT.sub(read, value)


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


def delete_key(tree: dict[str, Any], text: str, where: str) -> None:
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


def apply_override(config: DictConfig, text: str, classes: Classes | None) -> None:
    """Apply one override; without ``classes`` the arguments of model and data are not checked."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"override {text!r}; expected key=value, such as data.batch_size=32, or '~key' to delete it")
    where = f"override {text!r}" if len(text) <= 100 else f"override {text[:100]!r}..."
    try:
        parsed = from_config_yaml(f"v: {value}" if value else "v: null", where)
    except ValueError as error:
        hint = """; quote a text that has #, as in '["#a"]'""" if "#" in value else ""
        raise ValueError(f"{error}{hint}") from error
    if not isinstance(parsed, dict) or list(parsed) != ["v"]:
        raise ValueError(f"{where}; expected one value")
    parsed = read_environment(parsed["v"], where, key)
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
            for tree, free in ((typed, is_free_form(typed, key)), (config, True)):
                parent = key.rpartition(".")[0]
                if free and parent != section and OmegaConf.select(tree, parent) is None:
                    OmegaConf.update(tree, parent, {}, force_add=True)
                OmegaConf.update(tree, key, parsed, force_add=free, merge=False)
        else:
            OmegaConf.set_struct(config, True)
            whole = key.count(".") < 2  # a whole phase is merged; the mappings in it are replaced
            unchecked = section in ("model", "data") and bool(argument)
            free = unchecked or is_free_form(config, key)
            parent = key.rpartition(".")[0]
            if section == "task" and free and OmegaConf.select(config, parent) is None:
                OmegaConf.update(config, parent, {}, force_add=True)
            OmegaConf.update(config, key, parsed, force_add=free, merge=whole)
    except OmegaConfBaseException as error:
        raise ValueError(f"override {text!r}: {first_line(error)}") from error


def merged(base: DictConfig, given: Mapping[str, Any]) -> Any:
    """Return a config with the values of another one, as ``OmegaConf.merge``.

    Raises:
        OmegaConfBaseException: if a key or the type of a value is wrong.
        ValueError: if there is a list in place of a mapping, or the reverse; the key is named.
    """
    try:
        return OmegaConf.merge(base, given)
    except OmegaConfBaseException:
        raise
    except TypeError as error:
        keys, value = _misfit(base, given)
        expected = "a list" if isinstance(value, Mapping) else "a mapping, such as {key: value}"
        raise ValueError(f"{'.'.join(keys)} is {str(value)[:60]}; expected {expected}") from error


def _misfit(base: DictConfig, given: Mapping[str, Any]) -> tuple[list[str], Any]:
    """Keys and value of the innermost container that does not fit."""

    def fits(keys: list[str], value: Any) -> bool:
        for key in reversed(keys):
            value = {key: value}
        try:
            OmegaConf.merge(base, value)
        except OmegaConfBaseException:
            return True  # of another kind
        except TypeError:
            return False
        return True

    keys: list[str] = []
    value: Any = given
    while isinstance(value, Mapping) and fits(keys, {}):
        wrong = next(((str(key), item) for key, item in value.items() if not fits([*keys, str(key)], item)), None)
        if wrong is None:
            break
        keys.append(wrong[0])
        value = wrong[1]
    return keys, value


def is_free_form(config: DictConfig, key: str) -> bool:
    """Whether ``key`` adds to a mapping that is open by design: learning rates, loss weights, arguments of methods."""
    parts = key.split(".")
    if parts[0] == "phases" and len(parts) > 3 and parts[1] in config.phases:
        return parts[2] in ("lr", "loss", "then")
    if parts[0] == "task":
        return len(parts) > 2 and parts[1] in ("cost", "class_weights")
    return len(parts) > 2 and parts[0] in ("model", "data") and parts[1].endswith("_args")


def first_line(error: Exception) -> str:
    """Return the first line of an error of OmegaConf, with the key that it is about."""
    message = re.sub(f"{HIDDEN}(?:[0-9a-f]{{2}})*", lambda match: show(match[0]), str(error))
    text = message.strip().splitlines()
    where = next((line.split(":", 1)[1].strip() for line in text if line.strip().startswith("full_key")), "")
    return f"{text[0]}" + (f" (at {where})" if where else "")
