"""``zoo <verb> <name> [key=value ...]``: one file per verb that parses, calls ``zoo.<verb>`` and prints."""

from zoo.cli._main import main

__all__ = ["main"]
