"""What the verbs return: one dataclass for each of ``zoo.train``, ``zoo.evaluate``, ``zoo.explain``, ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.display import Table

if TYPE_CHECKING:
    from zoo.evaluation.audit import Drift, Group
    from zoo.evaluation.edits.edit_scores import ScoreChange
    from zoo.evaluation.units.code_search import Found as TopicUnit
    from zoo.explanation import Contrast, Explanation
    from zoo.metrics.score_result import Result
    from zoo.model import SelfExplaining
    from zoo.prediction import Prediction
    from zoo.reporting.context import ScoreRow, StepRow


class _ScoreTable(Table):
    """A result whose table is its score table."""

    rows: Sequence[ScoreRow]
    folder: Path | None

    def _table(self) -> tuple[str, Sequence[str], Sequence[Sequence[Any]]]:
        applied = [row for row in self.rows if row.applies]
        others = len(self.rows) - len(applied)
        more = f"; {others} scores do not apply" if others else ""
        title = f"{type(self).__name__}: {len(applied)} rows{more}{f', in {self.folder}' if self.folder else ''}"
        rows = [(row.name, row.value, row.protocol, row.note) for row in applied]
        return title, ("score", "value", "protocol", "note"), rows


@dataclass(frozen=True, repr=False)
class TrainResult(_ScoreTable):
    """A finished training run.

    Attributes:
        model: the trained model, in eval mode on the CPU.
        scores: scores on the test split by name; empty on every process but the first of a distributed run.
        rows: the score table, one row for each score and read-out.
        folder: the run folder; None for a dry run, which writes nothing.
    """

    model: SelfExplaining
    scores: Mapping[str, Result]
    rows: Sequence[ScoreRow]
    folder: Path | None

    @property
    def checkpoint(self) -> Path | None:
        """Folder of the checkpoint."""
        return self.folder and self.folder / "checkpoint"

    @property
    def page(self) -> Path | None:
        """The report page."""
        return self.folder and self.folder / "report.html"


@dataclass(frozen=True, repr=False)
class EvaluateResult(_ScoreTable):
    """Scores of a checkpoint.

    Attributes:
        name: of the checkpoint.
        data: name of the data source.
        scores: scores on the test split by name.
        rows: the score table, one row for each score and read-out.
        folder: where ``metrics.json`` and ``report.html`` are; None for a dry run.
    """

    name: str
    data: str
    scores: Mapping[str, Result]
    rows: Sequence[ScoreRow]
    folder: Path | None

    @property
    def metrics(self) -> Path | None:
        """The scores as JSON."""
        return self.folder and self.folder / "metrics.json"

    @property
    def page(self) -> Path | None:
        """The report page."""
        return self.folder and self.folder / "report.html"


@dataclass(frozen=True, repr=False)
class SeedsResult(EvaluateResult):
    """Scores of several runs that differ in their seed; ``scores`` and ``rows`` hold the means.

    Attributes:
        name: of the group.
        data: name of the data source.
        scores: mean over seeds by score.
        rows: the table, mean and spread of each score with the value of every seed.
        folder: of the group, with ``seed-0``, ``seed-1``, ... and the table; None for a dry run.
        seeds: of the runs.
        by_seed: value of each seed by score; None where a score does not apply.
        spread: standard deviation over seeds (n - 1) by score; None below two values.
    """

    seeds: tuple[int, ...]
    by_seed: Mapping[str, Mapping[int, float | None]]
    spread: Mapping[str, float | None]

    @property
    def runs(self) -> dict[int, Path]:
        """Folder of each seed; empty for a dry run."""
        return {} if self.folder is None else {seed: self.folder / f"seed-{seed}" for seed in self.seeds}

    @property
    def metrics(self) -> Path | None:
        """The table as JSON; ``seeds.csv`` beside it holds the same."""
        return self.folder and self.folder / "seeds.json"

    @property
    def page(self) -> Path | None:
        """None: each run has a page of its own."""
        return None


@dataclass(frozen=True)
class ExplainResult:
    """The explanation of one input.

    Attributes:
        input: name of the input.
        explanation: of the predicted classes; n rows where the input is a sequence with n answers, otherwise one.
        answers: name of the predicted class of each row.
        trace: intermediate values of the first row, if the model has a trace: names, and values at each position.
        contrast: the predicted classes beside the runners-up or a class of choice; None where classes do not exclude
            each other or the model has no units. Measured from mean strengths where ``from_mean``.
        class_names: of all classes, for a terminal.
        page: the HTML page; None for a dry run.
        counterfactual: sentences on the smallest change of the first row that gives another answer; empty if they were
            not asked for.
        share: what part of the contrast the units account for, in a sentence.
        from_mean: whether the contrast is measured from the mean strengths over the training data, so that its base is
            that of an average input.
    """

    input: str
    explanation: Explanation
    answers: Sequence[str]
    trace: Sequence[tuple[str, Sequence[str]]]
    contrast: Contrast | None
    class_names: Sequence[str]
    page: Path | None
    counterfactual: Sequence[str] = ()
    share: str = ""
    from_mean: bool = False


@dataclass(frozen=True)
class InterveneResult:
    """How the answer changed while units were set one after another.

    Attributes:
        name: of the checkpoint.
        input: name of the input.
        steps: the answer before anything was set, then after each unit that was set.
        old: predicted class before anything was set.
        new: predicted class after everything was set.
        explanation: of the input before anything was set.
        page: the HTML page; None for a dry run.
    """

    name: str
    input: str
    steps: Sequence[StepRow]
    old: str
    new: str
    explanation: Explanation
    page: Path | None


@dataclass(frozen=True)
class EditResult:
    """An edited model.

    Attributes:
        name: of the checkpoint that was edited.
        model: with the edits applied; ``model.history`` has them all.
        lines: one for each edit of the history.
        operations: what each operation of the model does, by name.
        changes: scores before and after; empty if they were not measured.
        folder: the new checkpoint; None if none was written.
    """

    name: str
    model: SelfExplaining
    lines: Sequence[str]
    operations: Mapping[str, str]
    changes: Sequence[ScoreChange]
    folder: Path | None


@dataclass(frozen=True, repr=False)
class CompareResult(Table):
    """Units of several runs, matched one to one.

    Attributes:
        title: names the runs, the data and the kind of matching.
        runs: name of each run with one line on its units and accuracy.
        columns: names of the columns of ``table``.
        table: a row of formatted figures for each pair of runs, by the indices of the two.
        mean: the formatted means over all pairs.
        pairs: figures of each pair of runs by name: similarity, chance, ...
        page: the HTML page; None for a dry run.
        figures: the same figures and all matched units as JSON; None for a dry run.
    """

    title: str
    runs: Sequence[tuple[str, str]]
    columns: Sequence[str]
    table: Mapping[tuple[int, int], Sequence[str]]
    mean: Sequence[str]
    pairs: Mapping[tuple[int, int], Mapping[str, float]]
    page: Path | None
    figures: Path | None

    def _table(self) -> tuple[str, Sequence[str], Sequence[Sequence[Any]]]:
        names = [name for name, _ in self.runs]
        rows = [(names[i], names[j], *cells) for (i, j), cells in self.table.items()]
        mean = [("mean", "", *self.mean)] if len(rows) > 1 else []
        return self.title, ("run", "and run", *self.columns), [*rows, *mean]


@dataclass(frozen=True)
class TopicRate:
    """How often sampled texts contain a topic, and at what cost.

    Attributes:
        share: of the sampled texts that contain the topic.
        perplexity: of the sampled texts under the judge.
        loss: mean loss of the model on test texts, in nats per token.
    """

    share: float
    perplexity: float
    loss: float


@dataclass(frozen=True)
class SteerResult:
    """Texts that a language model wrote with and without units set.

    Attributes:
        name: of the checkpoint.
        unit_kind: what the units are: ``code`` or ``neuron``.
        binary: whether a unit is either on or off.
        unit_names: of all units.
        held: strength of each unit that was set, by unit id.
        prompt: the text that is continued.
        texts: the continuation by title: ``unsteered``, and ``steered`` where units were set.
        topic_units: units that predict the topic, as measured on training and on validation texts.
        rates: how often the topic is written, by title; empty unless samples were asked for.
    """

    name: str
    unit_kind: str
    binary: bool
    unit_names: Sequence[str]
    held: Mapping[int, float]
    prompt: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    topic_units: Sequence[tuple[TopicUnit, TopicUnit]] = ()
    rates: Mapping[str, TopicRate] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportResult:
    """A checkpoint written as a stand-alone file.

    Attributes:
        file: the file.
        lines: of a program: its length.
        variables: of a program: number of variables.
        outputs: of a graph: names of its outputs.
        samples: of a graph: on what it was run before it was kept, in words.
        count: number of these samples.
        differences: by output, the largest difference to the model in torch.
        changed_answers: samples that the model answers in another way when its own reader reads them.
        reader_difference: largest difference of the logits to those.
    """

    file: Path
    lines: int = 0
    variables: int = 0
    outputs: Sequence[str] = ()
    samples: str = ""
    count: int = 0
    differences: Mapping[str, float] = field(default_factory=dict)
    changed_answers: int = 0
    reader_difference: float = 0.0


@dataclass(frozen=True)
class PushResult:
    """A checkpoint that is on a model hub.

    Attributes:
        repo: ``organization/name``.
        address: of the commit.
    """

    repo: str
    address: str


@dataclass(frozen=True)
class PullResult:
    """A checkpoint that came from a model hub.

    Attributes:
        name: under which ``zoo.load`` finds it.
        folder: where it is.
    """

    name: str
    folder: Path


@dataclass(frozen=True)
class PredictResult:
    """Predictions for new inputs.

    Attributes:
        prediction: the predictions; None if they were written to a file.
        count: number of inputs that were predicted.
        skipped: inputs that could not be read, one line each; the last line counts those that are not listed.
        flags: inputs with an unusual value, likewise.
        notes: remarks about the whole, such as columns that were ignored.
        file: the file that was written; None for none.
        remarks: CSV file of all skipped and unusual inputs; None if there are none or no file was written.
    """

    prediction: Prediction | None
    count: int
    skipped: Sequence[str]
    flags: Sequence[str]
    notes: Sequence[str]
    file: Path | None
    remarks: Path | None


@dataclass(frozen=True)
class ReportResult:
    """The audit of a model of tables.

    Attributes:
        page: the HTML page.
        groups: figures of all test rows, then of each group.
        drift: columns of the new rows beside the training rows, most changed first; empty without new rows.
    """

    page: Path
    groups: Sequence[Group]
    drift: Sequence[Drift]


@dataclass(frozen=True)
class MigrateResult:
    """A checkpoint that now holds its inputs.

    Attributes:
        file: the file that was written.
        class_names: names of the classes in it.
    """

    file: Path
    class_names: tuple[str, ...]
