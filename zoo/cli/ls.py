"""``zoo ls``: what there is, by kind, without importing torch."""

from __future__ import annotations

import argparse
import sys
from fnmatch import fnmatch
from pathlib import Path
from shutil import get_terminal_size
from textwrap import shorten

from zoo import paths
from zoo.cli._output import say
from zoo.config.seed_group import is_finished, members

Entries = dict[str, str]  # description by name

DATA_KINDS = {
    "images": "images",
    "tables": "tables",
    "text": "text",
    "sequences": "sequences",
    "games": "games",
    "concepts": "concepts of other data",
}
SCORE_KINDS = {
    "task": "task",
    "faithfulness": "faithfulness",
    "parts": "object parts",
    "attribution_maps": "attribution maps",
    "concepts": "concepts",
    "positions": "positions of sequences",
    "sparsity": "number and use of units",
}
PANEL_KINDS = {"panels": "panels of a page", "input_panels": "panels of each input"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("pattern", nargs="?", default="*", help="glob or part of a name, such as 'protopnet*'")


def run(args: argparse.Namespace) -> None:
    """Print all groups that have a matching name.

    Raises:
        ValueError: if nothing matches.
    """
    groups = {
        title: {n: text for n, text in entries.items() if fnmatch(n, args.pattern) or args.pattern in n}
        for title, entries in listing().items()
    }
    groups = {title: entries for title, entries in groups.items() if entries}
    if not groups:
        raise ValueError(f"nothing matches {args.pattern!r}; `zoo ls` lists all")
    width = get_terminal_size().columns if sys.stdout.isatty() else None
    say("\n\n".join(f"{title}\n{_lines(entries, width)}" for title, entries in groups.items()))


def listing() -> dict[str, Entries]:
    """Return names with one-line descriptions by group: models, data sources, scores, configs, checkpoints."""
    from zoo.checkpoint import list_checkpoints
    from zoo.registry import DATA, MODELS, PANELS, REGISTRIES, SCORES

    groups = {"models": _of(MODELS, "models"), "baselines": _of(MODELS, "models/baselines")}
    groups |= {f"data: {kind}": _of(DATA, f"data/{folder}") for folder, kind in DATA_KINDS.items()}
    groups |= {f"scores: {kind}": _of(SCORES, f"metrics/{folder}") for folder, kind in SCORE_KINDS.items()}
    groups |= {title: _of(PANELS, f"reporting/{folder}") for folder, title in PANEL_KINDS.items()}
    for registry in REGISTRIES:
        groups[f"{registry.plural} of other packages"] = {name: "" for name in registry.plugins()}
    groups["suites"] = {n: _headline(n) for n in paths.list_suites()}
    groups["configs"] = {n: _headline(n) for n in paths.list_configs()}
    groups["runs"] = _runs(Path("runs"))
    groups["checkpoints"] = {n: "" for n in list_checkpoints()}
    return groups


def _of(registry, folder: str) -> Entries:
    return {name: registry.describe(name) for name in registry.in_folder(folder)}


def _runs(folder: Path) -> Entries:
    """Return the runs in a folder and the groups of seeds, each in one line."""
    entries = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if group := members(path):
            finished = sum(map(is_finished, group.values()))
            seeds = ", ".join(map(str, group))
            state = "finished" if finished == len(group) else f"{finished} of {len(group)} finished"
            entries[str(path)] = f"{len(group)} seeds ({seeds}), {state}"
        elif (path / "config.yaml").is_file():
            entries[str(path)] = "finished" if is_finished(path) else "not finished"
    return entries


def _headline(config: str) -> str:
    """Return what the first comment line of a config says after its path."""
    text = paths.config_file(config).read_text()
    first = text.splitlines()[0] if text else ""
    return first.split(":", 1)[1].strip() if first.startswith("#") and ":" in first else ""


def _lines(entries: Entries, width: int | None) -> str:
    """Return aligned lines, cut at the width of the terminal; names without descriptions stand in columns.

    Args:
        entries: description by name.
        width: of the terminal in characters; None for one full line per name, for other programs to read.
    """
    longest = max(map(len, entries))
    if width is None or any(entries.values()):
        lines = []
        for name, text in entries.items():
            cut = text if width is None else shorten(text, max(20, width - longest - 4), placeholder=" ...")
            lines.append(f"  {name:{longest}}  {cut}".rstrip())
        return "\n".join(lines)
    names = list(entries)
    columns = max(1, width // (longest + 2))
    rows = -(-len(names) // columns)
    return "\n".join("".join(f"  {n:{longest}}" for n in names[row::rows]).rstrip() for row in range(rows))
