"""Suites as YAML files: where they are, and what they hold."""

from __future__ import annotations

from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from zoo.paths import suite_file


def read(name: str) -> list[Any]:
    """The list of scores in a YAML file, not yet checked.

    Args:
        name: of a suite under ``configs/evaluate`` (``quick`` or ``evaluate/quick``), or the path of a YAML file.

    Raises:
        ValueError: if there is no such file, it is no YAML, or it does not hold a list.
    """
    path = suite_file(name)
    try:
        found = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (YAMLError, OSError, UnicodeError, OmegaConfBaseException) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(found, list) or not found:
        raise ValueError(f"{path} does not hold a list of scores; write lines such as `- {{score: accuracy}}`")
    return found
