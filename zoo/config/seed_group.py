"""A group of runs of one config that differ in their seed: the folders ``seed-0``, ``seed-1``, ... of one folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

MEMBER = re.compile(r"seed-(\d+)")
LIST = re.compile(r"\[\s*\d+(\s*,\s*\d+)*\s*,?\s*\]")


def split_seeds(overrides: Sequence[str]) -> tuple[tuple[int, ...] | None, list[str]]:
    """Split the override ``seeds=[...]`` from the others.

    Returns:
        The seeds, None if there is no such override; and the other overrides.

    Raises:
        ValueError: if the value is no list of different whole numbers from 0, or ``seed`` is overridden as well.

    Example:
        >>> split_seeds(["seeds=[0,1,2]", "data.limit=100"])
        ((0, 1, 2), ['data.limit=100'])
    """
    others = [text for text in overrides if not text.startswith("seeds=")]
    texts = [text.removeprefix("seeds=") for text in overrides if text.startswith("seeds=")]
    if not texts:
        return None, others
    if len(texts) > 1:
        raise ValueError("seeds is given twice; give one list, such as seeds=[0,1,2]")
    if not LIST.fullmatch(texts[0]):
        raise ValueError(f"seeds is {texts[0]!r}; expected different whole numbers from 0, such as [0,1,2]")
    return check_seeds([int(number) for number in re.findall(r"\d+", texts[0])], others), others


def check_seeds(seeds: object, overrides: Sequence[str] = ()) -> tuple[int, ...]:
    """Return the seeds of a group.

    Raises:
        ValueError: if they are not different whole numbers from 0, or ``seed`` is overridden as well.
    """
    given = list(seeds) if isinstance(seeds, Sequence) and not isinstance(seeds, str) else []
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in given)
    if not given or not whole or len(set(given)) < len(given):
        raise ValueError(f"seeds is {seeds!r}; expected different whole numbers from 0, such as [0,1,2]")
    if own := [text for text in overrides if text.startswith("seed=")]:
        raise ValueError(f"{own[0]} and seeds={given}; give one of them")
    return tuple(given)


def members(folder: Path) -> dict[int, Path]:
    """Return the run folders of a group by seed, in the order of seeds; empty if the folder is no group."""
    if not folder.is_dir() or (folder / "config.yaml").is_file():
        return {}
    matches = {path: MEMBER.fullmatch(path.name) for path in folder.iterdir() if (path / "config.yaml").is_file()}
    return dict(sorted((int(match[1]), path) for path, match in matches.items() if match))


def is_finished(run: Path) -> bool:
    """Return whether a run is trained and scored: it has its checkpoint, and the page that is written last."""
    return (run / "checkpoint" / "metrics.json").is_file() and (run / "report.html").is_file()


def expand(names: Sequence[str]) -> list[str]:
    """Return names of checkpoints and runs, with the finished runs of a group in place of its folder.

    Raises:
        ValueError: if a group has no finished run.
    """
    expanded = []
    for name in names:
        group = members(Path(name).expanduser())
        finished = [str(run) for run in group.values() if is_finished(run)]
        if group and not finished:
            raise ValueError(f"{name} is a group of {len(group)} seeds of which none is finished")
        expanded += finished if group else [name]
    return expanded
