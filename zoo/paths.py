"""Where recipes, configs, checkpoints and data are, in a checkout or in an installed wheel."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def home() -> Path:
    """Return the folder of ``recipes/`` and ``configs/``: the checkout, or the package itself in a wheel."""
    checkout = PACKAGE.parent
    folders = all((checkout / name).is_dir() for name in ("recipes", "configs"))
    return checkout if folders and (checkout / "pyproject.toml").is_file() else PACKAGE


def recipes() -> Path:
    """Return the folder of the recipes."""
    return home() / "recipes"


def configs() -> Path:
    """Return the folder of the shipped configs."""
    return home() / "configs"


def cache() -> Path:
    """Return the user's cache folder for zoo."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zoo"


def data() -> Path:
    """Return the root folder of all data sets: ``ZOO_DATA``, or the user's cache folder."""
    return Path(os.environ.get("ZOO_DATA") or cache() / "data").expanduser()


def checkpoints() -> list[Path]:
    """Return the folders searched for a checkpoint: ``ZOO_CHECKPOINTS``, the checkout's, the user's cache."""
    folder = os.environ.get("ZOO_CHECKPOINTS")
    return [*([Path(folder).expanduser()] if folder else []), home() / "checkpoints", cache() / "checkpoints"]


def config_file(name: str) -> Path:
    """Return the YAML file of a config, by its name (``protopnet/digits``) or by a path.

    Raises:
        ValueError: if there is none; the message names the nearest ones.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path
    shipped = configs() / f"{name}.yaml"
    if shipped.is_file():
        return shipped
    near = did_you_mean(name, list_configs()) or "."
    raise ValueError(f"no config {name!r}{near} `zoo ls` lists all; a path ends in .yaml and must exist")


def suite_file(name: str) -> Path:
    """Return the YAML file of a suite of scores, by its name (``quick`` or ``evaluate/quick``) or by a path.

    Raises:
        ValueError: if there is none; the message names the known ones.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path
    short = name.removeprefix("evaluate/")
    known = [suite.removeprefix("evaluate/") for suite in list_suites()]
    if short not in known:
        near = did_you_mean(short, known) or "."
        raise ValueError(f"no suite {name!r}{near} Known: {', '.join(known)}; a path ends in .yaml and must exist")
    return configs() / "evaluate" / f"{short}.yaml"


def list_configs() -> list[str]:
    """Return the names of all training configs, such as ``protopnet/digits``."""
    files = (p.relative_to(configs()) for p in configs().glob("*/*.yaml"))
    return sorted(str(p.with_suffix("").as_posix()) for p in files if p.parts[0] != "evaluate")


def list_suites() -> list[str]:
    """Return the names of all suites of scores, such as ``evaluate/quick``."""
    return sorted(f"evaluate/{p.stem}" for p in (configs() / "evaluate").glob("*.yaml"))


def did_you_mean(name: str, known: list[str]) -> str:
    """Return a phrase that names the one or two nearest known names, or an empty text.

    Example:
        >>> did_you_mean("digit", ["digits", "shapes"])
        ', did you mean digits?'
    """
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=2, cutoff=0.5)
    return f", did you mean {' or '.join(near)}?" if near else ""
