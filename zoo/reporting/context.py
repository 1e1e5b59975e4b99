"""What a page shows: one object, filled by whoever writes the page and read by every panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from zoo.capabilities import DecisionPath, SourceText
from zoo.explanation import Contrast, Explanation, Units
from zoo.reporting.album import Album
from zoo.reporting.chart import Chart
from zoo.reporting.figures.shape_plot import ShapePlot
from zoo.reporting.glossary import Noun, noun
from zoo.reporting.interactive.case import Case
from zoo.reporting.interactive.edit_history import EditHistory
from zoo.reporting.interactive.recomputation import Recomputation
from zoo.reporting.interactive.vocabulary import Vocabulary
from zoo.reporting.numbers import percent
from zoo.reporting.unit_picture import Source
from zoo.task import Classification, Task

BRIEF = 24  # inputs of a page, above which each has fewer lines

OF_INPUTS = (  # one entry for each input, or none
    *(
        "notes",
        "feature_values",
        "traces",
        "class_sums",
        "decision_paths",
        "source_texts",
        "occlusions",
        "counterfactuals",
        "strength_words",
        "neighbors",
    ),
)


@dataclass(frozen=True)
class ScoreRow:
    """One line of the score table.

    Attributes:
        name: title of the score.
        value: already formatted, or ``n/a: reason``.
        protocol: id of the exact definition; only scores with one protocol id can be compared.
        note: one line that says what the score means.
    """

    name: str
    value: str
    protocol: str
    note: str = ""

    @property
    def applies(self) -> bool:
        """Whether there is a value."""
        return not self.value.startswith("n/a")


@dataclass(frozen=True)
class UnitRow:
    """One unit and its per-unit scores, in a list that begins with the lowest.

    Attributes:
        name: of the unit.
        owner: the class that it belongs to; empty if it belongs to none.
        source: where it came from, or its template.
        values: one formatted value for each per-unit score, in one order for all rows; empty where it has none.
    """

    name: str
    owner: str
    source: Source | None
    values: Sequence[str]


@dataclass(frozen=True)
class StepRow:
    """One intervention on a unit or a group of units, and the answer after it.

    Attributes:
        name: of what was set; empty for the answer before any intervention.
        before: the strength that the model computed.
        after: the strength that was set.
        answer: the class of the largest logit after it.
        chance: probability of that class, formatted.
        old: logit of the class that was predicted before any intervention.
        new: logit of the class that is predicted after the last one.
    """

    name: str
    before: str
    after: str
    answer: str
    chance: str
    old: str
    new: str


@dataclass(frozen=True)
class AnswerText:
    """The answer to one input in words.

    Attributes:
        kind: of the task.
        name: of the predicted class or labels, or the number.
        probability: calibrated, of the predicted class; empty for other tasks.
        probabilities: calibrated, of all classes or labels; empty for a number.
        truth: what is right; None if unknown.
        correct: whether the answer is right; None if unknown, or for a number.
        target: the output that is explained.
        abstained: whether the model abstains from this answer.
    """

    kind: str
    name: str
    probability: str
    probabilities: Sequence[float]
    truth: str | None
    correct: bool | None
    target: str
    abstained: bool


@dataclass(frozen=True)
class PageContext:
    """Everything that the panels of a page read. b inputs, c classes, t tokens.

    Attributes:
        title: heading of the page.
        explanations: of the same b inputs. The first is shown in full; another one, such as that of the true class, is
            shown folded wherever it explains another class.
        class_names: c names, of the classes, the labels or the number.
        lead: one sentence under the title.
        pictures: ``(b, 3, s, s)`` in 0..1, the inputs before normalization; None where inputs are no pictures.
        tokens: for each input the texts of its t tokens; None where inputs are no texts.
        labeled_texts: whether texts have classes of their own; otherwise the class of a text is its next token.
        source_texts: for each input the training texts that shown units were taken from, by unit id.
        contrast: of the same b inputs, the explained class beside the runner-up or a class of choice; None where
            classes do not exclude each other.
        occlusions: for each text by how much the logit of the explained class falls without each token ``(t,)``.
        feature_values: for each input that is a row of a table, names and values.
        truth: ``(b,)`` true classes, ``(b,)`` true numbers or ``(b, l)`` true labels, if known.
        task: what the model answers; None for an uncalibrated classification.
        sources: where units came from, by unit id; units without an entry are shown without a picture.
        notes: for each input, a few words on some of its units, by unit id; ✓ or ✗ in front colors them.
        strength_words: for each input the strengths of some of its units in words by unit id, such as ``= no (0.1 %)``.
        mean_strengths: ``(u,)`` over the training split, from which contributions are measured, so that the base is the
            logit of an average input; None where they are measured from strengths of 0.
        traces: for each input the intermediate values by name, one for each position.
        class_sums: for each input what each active unit adds to each class, the last row the sum.
        decision_paths: for each input its path through the decision tree of the model.
        scores: the score table.
        charts: curves to draw under the scores.
        shapes: shape functions of an additive model, most important first.
        card: of a scoring card the column, values and points of each line; empty for other models.
        risks: probability of the second class by total of its points.
        units: the units with the lowest per-unit scores, lowest first.
        unit_scores: names of the per-unit scores that the ``values`` of ``units`` are of.
        counterfactuals: for each input sentences on the smallest change that gives another answer.
        neighbors: for each input the nearest training cases.
        recomputation: what the page needs to answer to changes of the inputs itself; None for no such panel.
        unit_list: the units of the model with their scores, to browse and to edit; None for no such panel.
        history: edits of the model; None for one that was never edited.
        steps: interventions one after another, and the answer after each; of the only input.
        warnings: lines that a reader must not miss, such as a class of which no input is found.
        confusion: how often each class is predicted for each class, a row for each true one; empty for none.
        facts: model, data, command, versions, hardware, in the order in which they are shown.
        index: the input that a panel of an input draws; None outside of inputs.
        album: the pictures of the page, each stored once.

    Raises:
        ValueError: if there is no explanation, or a field does not fit the number of inputs or classes.

    Example:
        >>> import torch
        >>> from zoo.explanation import Explanation, Units
        >>> none = torch.zeros(1, 0)
        >>> explanation = Explanation(
        ...     Units("none", []), torch.tensor([[0.0, 1.0]]), torch.tensor([1]), none, none, torch.ones(1), none.long()
        ... )
        >>> PageContext("A page", [explanation], ["cat", "dog"]).count
        1
    """

    title: str
    explanations: Sequence[Explanation]
    class_names: Sequence[str]
    lead: str = ""
    pictures: Tensor | None = None
    tokens: Sequence[Sequence[str]] | None = None
    labeled_texts: bool = False
    source_texts: Sequence[Mapping[int, SourceText]] = ()
    contrast: Contrast | None = None
    occlusions: Sequence[Tensor] = ()
    feature_values: Sequence[Sequence[tuple[str, str]]] = ()
    truth: Tensor | None = None
    task: Task | None = None
    sources: Mapping[int, Source] = field(default_factory=dict)
    notes: Sequence[Mapping[int, str]] = ()
    strength_words: Sequence[Mapping[int, str]] = ()
    mean_strengths: Tensor | None = None
    traces: Sequence[Sequence[tuple[str, Sequence[str]]]] = ()
    class_sums: Sequence[Sequence[tuple[str, Sequence[float]]]] = ()
    decision_paths: Sequence[DecisionPath] = ()
    scores: Sequence[ScoreRow] = ()
    charts: Sequence[Chart] = ()
    shapes: Sequence[ShapePlot] = ()
    card: Sequence[tuple[str, str, int]] = ()
    risks: Mapping[int, float] = field(default_factory=dict)
    units: Sequence[UnitRow] = ()
    unit_scores: Sequence[str] = ()
    counterfactuals: Sequence[Sequence[str]] = ()
    neighbors: Sequence[Sequence[Case]] = ()
    recomputation: Recomputation | None = None
    unit_list: Vocabulary | None = None
    history: EditHistory | None = None
    steps: Sequence[StepRow] = ()
    warnings: Sequence[str] = ()
    confusion: Sequence[Sequence[float]] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    index: int | None = None
    album: Album = field(default_factory=Album, compare=False)

    def __post_init__(self) -> None:
        if not self.explanations:
            raise ValueError("page: there is no explanation; expected one of the inputs, or several of the same inputs")
        b, c = self.explanations[0].logits.shape
        for name, count, expected in (
            *(("explanations", len(explanation), b) for explanation in self.explanations),
            ("pictures", b if self.pictures is None else len(self.pictures), b),
            ("truth", b if self.truth is None else len(self.truth), b),
            ("contrast", b if self.contrast is None else len(self.contrast), b),
            ("class_names", len(self.class_names), c),
            ("tokens", b if self.tokens is None else len(self.tokens), b),
            *((name, len(getattr(self, name)) or b, b) for name in OF_INPUTS),
        ):
            if count != expected:
                raise ValueError(f"page: {name} has {count} entries; expected {expected} to fit the explanation")

    @property
    def explanation(self) -> Explanation:
        """The explanation that is shown in full."""
        return self.explanations[0]

    @property
    def vocabulary(self) -> Units:
        """The units of the model."""
        return self.explanation.units

    @property
    def noun(self) -> Noun:
        """What one unit, and several, are called."""
        return noun(self.vocabulary.kind)

    @property
    def count(self) -> int:
        """Number of inputs."""
        return len(self.explanation)

    @cached_property
    def answers(self) -> Sequence[AnswerText]:
        """The answer to each input."""
        logits = self.explanation.logits.double()
        task = Classification(logits.shape[1]) if self.task is None else self.task
        answers = task.answer(logits)
        names = task.texts(answers.prediction, self.class_names)
        targets: list[int] = task.explained(logits).tolist()
        true_names = [None] * len(logits) if self.truth is None else task.texts(self.truth, self.class_names)
        rows = []
        for i, (name, truth, target) in enumerate(zip(names, true_names, targets, strict=True)):
            p = None if answers.probabilities is None else answers.probabilities[i].tolist()
            alone = p is not None and task.kind == "classification"
            rows.append(
                AnswerText(
                    kind=task.kind,
                    name=name or "none of the labels",
                    probability=percent(p[target]) if alone and p is not None else "",
                    probabilities=p or (),
                    truth=truth if truth is None else truth or "none of the labels",
                    correct=None if truth is None or p is None else truth == name,
                    target=self.class_names[target],
                    abstained=answers.abstained is not None and bool(answers.abstained[i]),
                )
            )
        return rows

    @property
    def brief(self) -> bool:
        """Whether the page has so many inputs that each is told in few lines."""
        return self.count > BRIEF

    def at(self, i: int) -> PageContext:
        """Return the same context for the panels of input ``i``; nothing is checked or computed again."""
        _ = self.answers
        other = copy(self)
        object.__setattr__(other, "index", i)
        return other

    @property
    def starting_value(self) -> str:
        """What the base of an explanation is called."""
        if self.mean_strengths is not None:
            return "starting value"
        return "base, not due to any unit" if len(self.vocabulary) else "unexplained"

    @property
    def quantity(self) -> str:
        """What an explanation adds up to: the logit of a class or label, or the predicted number."""
        return "prediction" if self.task is not None and self.task.kind == "regression" else "logit"

    @property
    def input_index(self) -> int:
        """The input that a panel of an input draws.

        Raises:
            ValueError: outside of inputs.
        """
        if self.index is None:
            raise ValueError("page: a panel of an input is drawn outside of inputs; set its region to 'page'")
        return self.index
