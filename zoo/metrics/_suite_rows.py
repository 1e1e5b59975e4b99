"""Rows of a suite: what is known of model and data, and one row for each number in the table."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any, Literal

from zoo.concept_schema import Concept, ConceptSchema
from zoo.explanation import Units
from zoo.metrics.base import Score
from zoo.metrics.parts._counterfactual_scenes import Scenes
from zoo.metrics.wrappers.chance_adjusted import ChanceAdjusted
from zoo.task import Classification, MultiLabel, Regression, Task

MOST_OUTPUTS = 1000  # of tasks that are scored by class
STAND_INS: dict[str, Task] = {  # where a score is made but cannot be used
    "classification": Classification(2),
    "multilabel": MultiLabel(2),
    "regression": Regression(),
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
        task: what the model answers; None where it is unknown, or the classes are tokens.
        output_names: of the classes, labels or the number.
        masks: whether the parts have masks.
    """

    units: Units
    part_names: tuple[str, ...] = ()
    concepts: ConceptSchema | None = None
    scenes: Scenes | None = None
    shown: int = 10
    control: bool = False
    task: Task | None = None
    output_names: tuple[str, ...] = ()
    masks: bool = False

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
            "task": self.task,
            "names": self.output_names,
            "owner": [0] * max(1, len(self.units)) if self.units.owner is None else self.units.owner,
        }

    def arguments_of(self, cls: type[Score]) -> dict[str, Any]:
        """Return the arguments of a score that follow from these facts, a placeholder for a task that does not fit."""
        known = inspect.signature(cls).parameters
        arguments = {name: value for name, value in self.arguments.items() if name in known}
        if "answers" in cls.requires and self.wrong_task(cls.tasks, cls.requires):
            arguments |= {"task": STAND_INS[min(cls.tasks)], "names": ()}
        return arguments

    def wrong_task(self, tasks: frozenset[str], requires: frozenset[str]) -> str:
        """Return why a score of these kinds of tasks does not apply; empty if it does."""
        if self.task is None:
            return "the classes are tokens, or the task is unknown" if "answers" in requires else ""
        if self.task.kind not in tasks:
            return f"the task is {self.task.kind}"
        if "answers" in requires and self.task.outputs > MOST_OUTPUTS:
            return f"there are {self.task.outputs} classes; this score is of at most {MOST_OUTPUTS}"
        return ""

    def missing(self, requires: frozenset[str]) -> str:
        """Return why a score with these requirements does not apply; empty if nothing is missing so far."""
        if "units" in requires and len(self.units) == 0:
            return "the model has no units"
        if "owner" in requires and not self.owned:
            return f"a {self.units.kind} does not belong to one class"
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
        own = name_of(cls)
        title = cls.title + self.name.removeprefix(own) if self.name.startswith(own) else self.name
        return title.replace("_", " ")


def name_of(cls: type[Score]) -> str:
    """Return the name of a score: that under which it is registered, or else that of its class."""
    return getattr(cls, "name", cls.__name__)
