"""Entries of a suite: from a YAML file, a name, a mapping, a class or an object to the rows that are scored."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.config.plain_yaml import from_config_yaml
from zoo.metrics._suite_rows import Facts, Row, name_of
from zoo.metrics.base import Score
from zoo.metrics.wrappers.bootstrap import BootstrapInterval
from zoo.metrics.wrappers.chance_adjusted import ChanceAdjusted
from zoo.paths import did_you_mean, suite_file
from zoo.registry import SCORES

Entry = str | Mapping[str, Any] | type[Score] | Score
RENAMED = {
    "duplicates": "redundancy",
    "same_answer": "answer_agreement",
    "unit_correctness": "unit_correlation",
    "unit_curves": "insertion_deletion",
    "retention": "inherent_interpretability",
    "map_localisation": "map_localization",
}


def rows_of(entry: Entry, facts: Facts) -> list[Row]:
    """Return the rows of one entry: the score, then its rows above chance, then its control.

    Args:
        entry: a name, a mapping with ``score``, a class, or a score.
        facts: of model and data.

    Raises:
        ValueError: if a score, an argument or its value is not known.
    """
    if isinstance(entry, Score):
        return _finished(type(entry), name_of(type(entry)), entry, [], None, facts)
    arguments: dict[str, Any] = {"score": entry}
    if isinstance(entry, Mapping):
        arguments = dict(entry)
    if not isinstance(entry, str | Mapping | type):
        raise ValueError(f"{entry!r} is not a score with its arguments; write `- {{score: accuracy}}`")
    cls = score_class(arguments.pop("score", None))
    name = arguments.pop("name", name_of(cls))
    if not isinstance(name, str) or not name:
        raise ValueError(f"the name of a {name_of(cls)!r} score is {name!r}; expected a word")
    interval = arguments.pop("interval", False)
    nulls = arguments.pop("chance", ())
    if not isinstance(interval, bool):
        raise ValueError(f"interval of score {name!r} is {interval!r}; expected true or false")
    known = inspect.signature(cls).parameters
    free = [argument for argument in known if argument not in facts.arguments]
    if unknown := [argument for argument in arguments if argument not in free]:
        raise ValueError(f"score {name!r} has no argument {unknown[0]!r}; it takes {', '.join(free) or 'none'}")
    arguments |= facts.arguments_of(cls)
    try:
        score = BootstrapInterval(cls(**arguments)) if interval else cls(**arguments)
        above = [ChanceAdjusted(cls(**arguments), null) for null in ([nulls] if isinstance(nulls, str) else nulls)]
        control = cls(**arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"score {name!r}: {error}") from error
    return _finished(cls, name, score, above, control, facts)


def _finished(
    cls: type[Score], name: str, score: Score, above: Sequence[ChanceAdjusted], control: Score | None, facts: Facts
) -> list[Row]:
    masks = "/masks" if facts.masks and "points" in score.requires else ""
    row = Row(name, cls, score, score.protocol + masks)
    if reason := facts.missing(score.requires) or facts.wrong_task(score.tasks, score.requires):
        row.note, row.applies = f"n/a: {reason}", False
        return [row]
    rows = [row]
    for chance in above:
        title = f"{name} above chance ({chance.null})"
        rows.append(Row(title, ChanceAdjusted, chance, chance.protocol, "chance"))
    if "parts" in score.requires and not facts.owned:
        for part_row in rows:
            part_row.protocol += f"/top{facts.shown}"
    if control is not None and facts.control and "parts" in score.requires:
        title = f"{name} (random {facts.units.kind}s)"
        rows.append(Row(title, cls, control, f"{row.protocol}/random", "random locations"))
    elif control is not None and facts.control and control.random_weights:
        rows.append(Row(f"{name} (random weights)", cls, control, f"{row.protocol}/random", "random weights"))
    return rows


def score_class(score: object) -> type[Score]:
    """Return the class of a score, by name or as it is.

    Raises:
        ValueError: if there is no such score; names the nearest, or the new name of one that was renamed.

    Example:
        >>> score_class("accuracy").__name__
        'Accuracy'
    """
    if isinstance(score, type) and issubclass(score, Score):
        return score
    name = str(score)
    if name in SCORES.names():
        return SCORES.get(name)
    if name in RENAMED:
        raise ValueError(f"score {name!r} is now called {RENAMED[name]!r}; write `score: {RENAMED[name]}`")
    near = did_you_mean(name, SCORES.names()) or "."
    raise ValueError(f"no score {name!r}{near} Known: {', '.join(SCORES.names())}")


def read_suite(name: str) -> list[Any]:
    """Return the list of scores in a YAML file, not yet checked.

    Args:
        name: of a suite under ``configs/evaluate`` (``quick`` or ``evaluate/quick``), or the path of a YAML file.

    Raises:
        ValueError: if there is no such file, it is not YAML, or it does not hold a list.
    """
    path = suite_file(name)
    try:
        entries = from_config_yaml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(entries, list) or not entries:
        raise ValueError(
            f"{path} holds {type(entries).__name__}, not a list of scores; write lines such as `- {{score: accuracy}}`"
        )
    return entries
