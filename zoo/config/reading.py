"""Reading, checking and writing a config."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zoo import paths
from zoo.config.argument_schema import schema
from zoo.config.keys import Config
from zoo.config.migration import migrate
from zoo.config.overrides import Classes, apply_override, delete_key, first_line, merged, read_environment
from zoo.config.plain_yaml import from_config_yaml, to_config_yaml
from zoo.config.settings import MISSING, Settings, hide, plain, show

QUOTES = "\"'"  # around a name that a mapping of Python gives
REMOVED_PHASE = re.compile(r"(phases\.[^.=]+)=\s*(null|~)?\s*")  # an override that removes a phase


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
    return check(read_environment(raw, str(file)), overrides, where=str(file), classes=classes)


def check(
    raw: Mapping[str, Any], overrides: Sequence[str] = (), *, where: str, classes: Classes | None = None
) -> Settings:
    """Check a raw config and apply overrides, see ``load``; ``where`` is named in errors."""
    values = migrate(plain(raw))
    overrides = [f"~{match[1]}" if (match := REMOVED_PHASE.fullmatch(text)) else text for text in overrides]
    for text in overrides:
        if text.startswith("~"):
            delete_key(values, text, where)
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
        config = merged(OmegaConf.structured(Config), values)
    except OmegaConfBaseException as error:
        raise ValueError(f"{where}: {first_line(error)}") from error
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    for section in ("model", "data"):
        chosen = [o.split("=", 1)[1].strip(QUOTES) for o in overrides if o.startswith(f"{section}.name=")]
        name = chosen[-1] if chosen else config[section].get("name")
        if not name:
            raise ValueError(f"{where}: {section}.name is missing")
        if classes:
            known = OmegaConf.structured(schema(classes(section, name)))
            given = {key: value for key, value in values.get(section, {}).items() if key != "name"}
            try:
                # a schema closed against unknown keys, under the section's own name so that errors read right
                typed = merged(OmegaConf.create({section: known}), {section: given})
            except OmegaConfBaseException as error:
                foreign = [key for key in given if chosen and key not in known]
                hint = f"; delete it with '~{section}.{foreign[0]}'" if foreign else ""
                raise ValueError(f"{where}: {first_line(error)}{hint}") from error
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from error
            config[section] = {"name": name, **plain(typed)[section]}
            OmegaConf.set_struct(config[section], True)
    for text in overrides:
        apply_override(config, text, classes)
    seeded = "seed" in values.get("data", {}) or any(text.startswith("data.seed=") for text in overrides)
    if "seed" in config.data and not seeded:
        config.data.seed = config.seed
    for section in ("model", "data"):
        for key in config[section]:
            if OmegaConf.is_missing(config[section], key):
                raise ValueError(f"{where}: {section}.{key} is missing; {config[section].name} needs it")
    return Settings.of(show(plain(config)))


def save(config: Mapping[str, Any], file: Path) -> None:
    """Write a config as YAML."""
    file.write_text(to_config_yaml(plain(config)), encoding="utf-8")
