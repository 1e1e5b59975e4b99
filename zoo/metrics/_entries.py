"""Entries of a suite: from a name, a mapping, a class or an object to the rows that are scored."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from zoo.concept_schema import Concept, ConceptSchema
from zoo.explanation import Units
from zoo.metrics.base import Score
from zoo.metrics.parts._counterfactual_scenes import Scenes
from zoo.metrics.wrappers.bootstrap import BootstrapInterval
from zoo.metrics.wrappers.chance_adjusted import ChanceAdjusted
from zoo.paths import did_you_mean
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
NO_CONCEPTS = ConceptSchema((Concept("none"),))  # stands in where a score is made but cannot be used


@dataclass(frozen=True)
class Facts:
    """What is known of model and data before the first batch.

    Attributes:
        units: the vocabulary.
        part_names: names of the annotated parts; empty if the data have none.
        concepts: schema of the annotated concepts; None if the data have none.
        scenes: the scored split as scenes that can be rendered again; None if they cannot.
        shown: units read for each input where they do not belong to classes.
        control: whether part scores have a row with random locations beside them.
    """

    units: Units
    part_names: tuple[str, ...] = ()
    concepts: ConceptSchema | None = None
    scenes: Scenes | None = None
    shown: int = 10
    control: bool = False

    @property
    def owned(self) -> bool:
        """Whether every unit belongs to a class."""
        owner = self.units.owner
        return owner is not None and len(self.units) > 0 and bool((owner >= 0).all())

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of scores that follow from these facts."""
        return {
            "num_units": max(1, len(self.units)),
            "part_count": max(1, len(self.part_names)),
            "part_names": self.part_names or None,
            "concepts": self.concepts or NO_CONCEPTS,
            "scenes": self.scenes,
        }

    def missing(self, requires: frozenset[str]) -> str:
        """Return why a score with these requirements does not apply; empty if nothing is missing so far."""
        if "units" in requires and len(self.units) == 0:
            return "the model has no units"
        if "parts" in requires and not self.part_names:
            return "the data have no part annotations"
        if requires & {"concepts", "labels"} and self.concepts is None:
            return "the data have no concepts"
        if "labels" in requires and self.owned:
            return f"each {self.units.kind} belongs to a class, and so to what is true of the class"
        if "scenes" in requires and self.scenes is None:
            return "the scenes of these data cannot be rendered again"
        return ""


@dataclass
class Row:
    """One row of a suite: a score, a score above chance, or a random control of one.

    Attributes:
        name: of the row.
        cls: class of the score, which has the words.
        score: what is updated.
        protocol: id that is printed.
        kind: what the row is: the score itself, above chance, of random locations or of random weights.
        note: why the score does not apply; empty if it does, as far as is known.
        applies: whether anything can be scored, as far as is known before the first batch.
        fitted: splits that the score was fitted on.
    """

    name: str
    cls: type[Score]
    score: Score
    protocol: str
    kind: Literal["score", "chance", "random locations", "random weights"] = "score"
    note: str = ""
    applies: bool = True
    fitted: set[str] = field(default_factory=set)

    @property
    def is_control(self) -> bool:
        """Whether it is the same score of something random."""
        return self.kind.startswith("random")

    @property
    def title(self) -> str:
        """Heading of the row: the title of the score, with what a name of its own adds to it."""
        cls = type(self.score.score) if isinstance(self.score, ChanceAdjusted) else self.cls
        own = _name_of(cls)
        title = cls.title + self.name.removeprefix(own) if self.name.startswith(own) else self.name
        return title.replace("_", " ")


def rows_of(entry: Entry, facts: Facts) -> list[Row]:
    """Return the rows of one entry: the score, then its rows above chance, then its control.

    Args:
        entry: a name, a mapping with ``score``, a class, or a score.
        facts: of model and data.

    Raises:
        ValueError: if a score, an argument or its value is not known.
    """
    if isinstance(entry, Score):
        return _finished(type(entry), _name_of(type(entry)), entry, [], None, facts)
    arguments: dict[str, Any] = {"score": entry}
    if isinstance(entry, Mapping):
        arguments = dict(entry)
    if not isinstance(entry, str | Mapping | type):
        raise ValueError(f"{entry!r} is no score with its arguments; write `- {{score: accuracy}}`")
    cls = score_class(arguments.pop("score", None))
    name = arguments.pop("name", _name_of(cls))
    if not isinstance(name, str) or not name:
        raise ValueError(f"the name of a {_name_of(cls)!r} score is {name!r}; expected a word")
    interval, nulls = arguments.pop("interval", False), arguments.pop("chance", ())
    if not isinstance(interval, bool):
        raise ValueError(f"interval of score {name!r} is {interval!r}; expected true or false")
    known = inspect.signature(cls).parameters
    free = [argument for argument in known if argument not in facts.arguments]
    if unknown := [argument for argument in arguments if argument not in free]:
        raise ValueError(f"score {name!r} has no argument {unknown[0]!r}; it takes {', '.join(free) or 'none'}")
    arguments |= {argument: value for argument, value in facts.arguments.items() if argument in known}
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
    row = Row(name, cls, score, score.protocol)
    if reason := facts.missing(score.requires):
        row.note, row.applies = f"n/a: {reason}", False
        return [row]
    rows = [row]
    for chance in above:
        title = f"{name} above chance ({chance.null})"
        rows.append(Row(title, ChanceAdjusted, chance, chance.protocol, "chance"))
    if "parts" in score.requires and not facts.owned:
        for one in rows:
            one.protocol += f"/top{facts.shown}"
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


def _name_of(cls: type[Score]) -> str:
    return getattr(cls, "name", cls.__name__)
