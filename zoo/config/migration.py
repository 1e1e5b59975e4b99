"""Configs of earlier versions."""

from __future__ import annotations

from typing import Any

VERSION = 2  # of the layout of a config; raised when a key is renamed, see ``migrate``


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
