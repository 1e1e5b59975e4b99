"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

INPUT = (
    "index of the test split, an image file, name=value,... for a table, or a text;"
    " a number is an index, with a space before it a text"
)
CHECKPOINT = "checkpoint or run folder"


def add_overrides(parser: argparse.ArgumentParser, metavar: str = "key=value", text: str = "") -> None:
    """Add ``key=value`` overrides, and ``~key``, which deletes a key of the config."""
    parser.add_argument(
        "overrides", nargs="*", metavar=metavar, help=text or "override a key of the config; '~key' deletes it"
    )


def add_output(parser: argparse.ArgumentParser, *, overwrite: bool = True) -> None:
    """Add the options of verbs that write a folder."""
    parser.add_argument("--out", type=Path, help="folder to write to (default: under runs/)")
    if overwrite:
        parser.add_argument("--overwrite", action="store_true", help="replace an older run in that folder")
    parser.add_argument("--dry-run", action="store_true", help="run one batch through everything, write nothing")


def split_statements(texts: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Split ``name=value`` texts into values of units, and overrides of data and accelerator.

    Raises:
        ValueError: if a unit is given two values.

    Example:
        >>> split_statements(["wing=striped", "data.batch_size=4"])
        ({'wing': 'striped'}, ['data.batch_size=4'])
    """
    values: dict[str, str] = {}
    overrides = []
    for text in texts:
        name, _, value = text.rpartition("=")
        if name.startswith("data.") or name == "trainer.accelerator" or text.startswith("~data."):
            overrides.append(text)
        elif name in values:
            raise ValueError(f"{name!r} is given twice; give one value")
        else:
            values[name] = value
    return values, overrides
