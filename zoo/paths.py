"""Where recipes, configs, checkpoints and data are, in a checkout or in an installed wheel."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def home() -> Path:
    """The folder that holds ``recipes/`` and ``configs/``: the checkout, or the package itself in a wheel."""
    checkout = PACKAGE.parent
    inside = (
        (checkout / "recipes").is_dir() and (checkout / "configs").is_dir() and (checkout / "pyproject.toml").is_file()
    )
    return checkout if inside else PACKAGE


def recipes() -> Path:
    """Folder of the recipes."""
    return home() / "recipes"


def configs() -> Path:
    """Folder of the configs that travel with zoo."""
    return home() / "configs"


def cache() -> Path:
    """The user's cache folder for zoo."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zoo"


def data() -> Path:
    """Root of all data sets: ``ZOO_DATA``, or the user's cache folder."""
    return Path(os.environ.get("ZOO_DATA") or cache() / "data").expanduser()


def checkpoints() -> list[Path]:
    """Folders searched for a checkpoint by name: ``ZOO_CHECKPOINTS``, the checkout's own, the user's cache."""
    asked = os.environ.get("ZOO_CHECKPOINTS")
    return [*([Path(asked).expanduser()] if asked else []), home() / "checkpoints", cache() / "checkpoints"]


def config_file(name: str) -> Path:
    """The YAML file of a config, by its name (``protopnet/digits``) or by a path.

    Raises:
        ValueError: if there is none; the message names the nearest ones.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path
    shipped = configs() / f"{name}.yaml"
    if shipped.is_file():
        return shipped
    raise ValueError(
        f"no config {name!r}{did_you_mean(name, list_configs())}; `zoo ls` lists all, and a path ends in .yaml"
    )


def list_configs() -> list[str]:
    """Names of all training configs, such as ``protopnet/digits``."""
    found = (p.relative_to(configs()) for p in configs().glob("*/*.yaml"))
    return sorted(str(p.with_suffix("").as_posix()) for p in found if p.parts[0] != "evaluate")


def list_suites() -> list[str]:
    """Names of all suites of scores, such as ``evaluate/quick``."""
    return sorted(f"evaluate/{p.stem}" for p in (configs() / "evaluate").glob("*.yaml"))


def did_you_mean(name: str, known: list[str]) -> str:
    """A phrase naming the nearest known names, or nothing."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=2, cutoff=0.5)
    return f", did you mean {' or '.join(near)}?" if near else ""
