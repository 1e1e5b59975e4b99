"""Checks that need no torch, so that a mistake in a name or key is answered at once."""

from __future__ import annotations

from collections.abc import Sequence

from zoo import config as configs
from zoo import paths
from zoo.checkpoint import find
from zoo.registry import DATA, MODELS


def check_config(name: str, overrides: Sequence[str]) -> None:
    """Check a config but for the arguments of its model and data, whose types are in their classes.

    Raises:
        ValueError: a mistake in the file, its keys, an override, or the name of a model, data source or suite.
    """
    config = configs.load(name, overrides)
    MODELS.check_name(config.model.name)
    DATA.check_name(config.data.name)
    paths.suite_file(config.suite)
    if config.finetune is not None and config.finetune.source:
        check_checkpoint(config.finetune.source)


def check_checkpoint(name: str, overrides: Sequence[str] = ()) -> None:
    """Check that a checkpoint exists and that its overrides may be overridden.

    Raises:
        ValueError: no such checkpoint, or an override of what training fixed.
    """
    if not name.startswith("hub:"):
        find(name)
    configs.check_trained_overrides(overrides)
