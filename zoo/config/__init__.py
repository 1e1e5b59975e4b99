"""Typed run configs: YAML and ``key=value`` in, checked ``Settings`` out.

The schema of ``model`` and ``data`` is read off the ``__init__`` of the class that they name, so there is no second
list of arguments to keep. A misspelt key or a wrong type is an error that names the key and the nearest right one.

OmegaConf checks types; texts are hidden from its interpolation, so that names of the data such as ``${x}`` or ``???``
stay as they are. ``${oc.env:NAME}`` in a config that a user names or in an override is replaced when it is read.
"""

from zoo.config.argument_schema import schema
from zoo.config.keys import Config, Finetune, TaskArgs, TrainerArgs
from zoo.config.migration import VERSION, migrate
from zoo.config.overrides import ENVIRONMENT, Classes, check_trained_overrides, keyword_overrides
from zoo.config.reading import check, load, read_yaml, save
from zoo.config.settings import MISSING, Settings, hide, plain, show

__all__ = [
    "Classes",
    "Config",
    "ENVIRONMENT",
    "Finetune",
    "MISSING",
    "Settings",
    "TaskArgs",
    "TrainerArgs",
    "VERSION",
    "check",
    "check_trained_overrides",
    "hide",
    "keyword_overrides",
    "load",
    "migrate",
    "plain",
    "read_yaml",
    "save",
    "schema",
    "show",
]
