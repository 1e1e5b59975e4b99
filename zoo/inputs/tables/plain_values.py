"""Frozen dataclasses of a schema as the plain values of a YAML file, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from zoo.inputs.tables.notation import Notation, notation_from


def to_plain(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that differ from their defaults: tuples as lists, a notation as a mapping."""
    config: dict[str, Any] = {}
    for field in fields(value):
        content = getattr(value, field.name)
        if field.default is MISSING or content != field.default:
            plain = content.to_config() if isinstance(content, Notation) else content
            config[field.name] = list(plain) if isinstance(plain, tuple) else plain
    return config


def from_plain(cls: type, config: Mapping[str, Any], *, what: str) -> dict[str, Any]:
    """Return the arguments of a dataclass with a ``notation`` from plain values.

    Args:
        cls: the dataclass.
        config: plain values.
        what: what they describe, for errors.

    Raises:
        ValueError: if a key is unknown.
    """
    known = {field.name for field in fields(cls)}
    if unknown := [key for key in config if key not in known]:
        raise ValueError(f"{what} has the unknown key {unknown[0]!r}")
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}
    return arguments | {"notation": notation_from(config.get("notation"))}
