"""Predictions for new inputs, piece by piece in constant memory: answer, probabilities and the units that decided."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch
from torch import Tensor

from zoo.display import ROWS, Table
from zoo.task import Answers, Classification, Task

if TYPE_CHECKING:
    import pandas as pd

    from zoo.explanation import Explanation, Units
    from zoo.inputs.base import Flag, Inputs, Reading


SHORT = 64  # numbers of an input that is predicted in large batches


class Predictor(Protocol):
    """A model that can predict: the part of the contract that predictions need."""

    name: ClassVar[str]
    inputs: Inputs | None

    @property
    def task(self) -> Task:
        """What the model answers."""
        ...

    @property
    def units(self) -> Units:
        """The vocabulary."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class."""
        ...

    @property
    def device(self) -> Any:
        """Device of the weights."""
        ...

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain the pass over inputs ``(b, ...)``."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """Return logits ``(b, c)`` of inputs ``(b, ...)``."""
        ...


@dataclass(frozen=True, repr=False)
class Prediction(Table):
    """Answers of a model for n inputs, with the k units that contributed most to each.

    Attributes:
        rows: n names of the inputs: file, id or line.
        class_names: name of each class or label; empty for a regression.
        unit_names: name of each unit of the model.
        logits: ``(n, c)``; of a regression ``(n, 1)`` in units of y.
        shown: ``(n, k)`` ids of the units with the largest absolute contribution, largest first; -1 pads.
        contribution: ``(n, k)`` what each of them adds to the logit of the predicted class, of the most probable label,
            or to the number; 0 for padding.
        flags: inputs that were read although something about them is unusual.
        skipped: inputs that could not be read and are not among the n.
        notes: remarks about the whole, such as columns that were ignored.
        task: what the model answers; None for an uncalibrated classification.

    Example:
        >>> prediction = Prediction(
        ...     rows=("a.png",),
        ...     class_names=("cat", "dog"),
        ...     unit_names=("ear", "tail"),
        ...     logits=torch.tensor([[0.0, 1.0]]),
        ...     shown=torch.tensor([[1, -1]]),
        ...     contribution=torch.tensor([[0.75, 0.0]]),
        ... )
        >>> prediction.columns()["prediction"], prediction.columns()["unit_1"]
        (['dog'], ['tail'])
    """

    rows: tuple[str, ...]
    class_names: tuple[str, ...]
    unit_names: Sequence[str]
    logits: Tensor
    shown: Tensor
    contribution: Tensor
    flags: tuple[Flag, ...] = ()
    skipped: tuple[Flag, ...] = ()
    notes: tuple[str, ...] = field(default=())
    task: Task | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def _table(self) -> tuple[str, Sequence[str], Sequence[Sequence[Any]]]:
        columns = self.columns()
        number = ROWS + 1
        cells = [[_short(value) for value in values[:number]] for values in columns.values()]
        rows = list(zip(*cells, strict=True)) + [[""] * len(columns)] * max(0, len(self) - number)
        return f"Prediction of {len(self)} inputs", list(columns), rows

    @cached_property
    def answers(self) -> Answers:
        """Predictions, calibrated probabilities and abstentions."""
        task = Classification(self.logits.shape[1]) if self.task is None else self.task
        answers = task.answer(self.logits.double())
        probabilities = answers.probabilities
        return replace(answers, probabilities=None if probabilities is None else probabilities.to(self.logits.dtype))

    @property
    def probabilities(self) -> Tensor:
        """Calibrated probability ``(n, c)`` of each class or label.

        Raises:
            ValueError: for a regression.
        """
        if self.answers.probabilities is None:
            raise ValueError("a regression has no probabilities; read prediction.numbers")
        return self.answers.probabilities

    @property
    def numbers(self) -> Tensor:
        """Predicted number ``(n,)`` of each input, in units of y.

        Raises:
            ValueError: for a classification.
        """
        if self.answers.probabilities is not None:
            raise ValueError("a classification predicts no numbers; read prediction.labels")
        return self.answers.prediction.to(self.logits.dtype)

    @property
    def labels(self) -> list[str]:
        """Name of the predicted class of each input; several labels with ``; `` between them; or the number."""
        task = Classification(self.logits.shape[1]) if self.task is None else self.task
        return task.texts(self.answers.prediction, self.class_names)

    def to(self, device: Any, **_: Any) -> Prediction:
        """Return the prediction itself: it is on the CPU, whatever device Lightning moves it to."""
        return self

    def columns(self) -> dict[str, Any]:
        """Return ``row``, ``prediction``, ``p_<class>``..., ``unit_1``, ``contribution_1``, ...; n values each.

        Numbers are float32 arrays; a padded unit is None and its contribution NaN. A model that may abstain has a
        column ``abstained`` of yes and no.
        """
        answers = self.answers
        columns: dict[str, Any] = {"row": list(self.rows), "prediction": self.labels}
        if answers.probabilities is None:
            columns["prediction"] = self.numbers.float().numpy()
        else:
            probabilities = answers.probabilities.float().numpy()
            columns |= {f"p_{name}": probabilities[:, i] for i, name in enumerate(self.class_names)}
        if answers.abstained is not None:
            columns["abstained"] = ["yes" if withheld else "no" for withheld in answers.abstained.tolist()]
        padded = self.shown < 0
        contribution = self.contribution.float().masked_fill(padded, torch.nan).numpy()
        for i in range(self.shown.shape[1]):
            ids = self.shown[:, i].tolist()
            columns[f"unit_{i + 1}"] = [None if unit < 0 else self.unit_names[unit] for unit in ids]
            columns[f"contribution_{i + 1}"] = contribution[:, i]
        return columns

    def to_pandas(self) -> pd.DataFrame:
        """Return ``columns()`` as a DataFrame with one row for each input."""
        import pandas as pd

        return pd.DataFrame(self.columns())


def _short(value: Any) -> str:
    if isinstance(value, Real) and not isinstance(value, Integral):
        return "" if math.isnan(value) else f"{value:.4g}"
    return "" if value is None else str(value)


def stream(
    model: Predictor,
    raw: Any,
    *,
    shown: int = 3,
    batch_size: int | None = None,
    strict: bool = False,
    skip: bool = False,
) -> Iterator[Prediction]:
    """Yield predictions for anything that the inputs of a model read, at most ``batch_size`` at a time.

    Args:
        model: with inputs, in eval mode.
        raw: a path, folder, DataFrame, image, array or a list, see ``scan`` of the inputs.
        shown: number k of units for each input; 0 computes the forward pass alone.
        batch_size: inputs per forward pass; None for 1024 short rows, or 256 of anything else.
        strict: whether an unusual input, such as one with an unknown level, is an error.
        skip: whether inputs that cannot be read are skipped and listed instead of being an error.

    Raises:
        ValueError: if the model has no inputs, an input cannot be read, or a logit is not finite.
    """
    if shown < 0 or (batch_size is not None and batch_size < 1):
        raise ValueError(f"shown is {shown}, batch_size {batch_size}; expected 0 or more and 1 or more")
    check_predictor(model)
    assert model.inputs is not None
    if batch_size is None:
        batch_size = 1024 if math.prod(model.inputs.shape) <= SHORT else 256
    for reading in model.inputs.scan(raw, labels=False, strict=strict, skip=skip):
        first = True
        for start in range(0, max(len(reading), 1), batch_size):
            part = _predict(model, reading, slice(start, start + batch_size), shown)
            if first:
                part = replace(part, flags=reading.flags, skipped=reading.skipped, notes=reading.notes)
            first = False
            yield part


def check_predictor(model: Predictor) -> None:
    """Refuse a model that cannot read files or has no classes.

    Raises:
        ValueError: naming the cure.
    """
    if model.inputs is None:
        raise ValueError(
            f"this {model.name} has no inputs (inputs.yaml), so that files cannot be read for it; complete it with"
            " `zoo migrate`, or train it on data that keep their inputs"
        )
    if model.task.kind != "regression" and not model.inputs.class_names:
        raise ValueError(f"the inputs of this {model.name} have no class names; only classifiers predict")


def predict_batch(model: Predictor, batch: Any, *, shown: int = 3, number: int = 0) -> Prediction:
    """Return the predictions of one batch of a loader.

    Args:
        model: a classifier, in eval mode; without inputs its classes are numbered.
        batch: a ``Reading``, a ``Batch``, a tensor ``(b, ...)`` or a sequence that begins with one.
        shown: number k of units for each input.
        number: of the batch; inputs without an index are named by it and their place.

    Raises:
        ValueError: if it is none of these, or a logit is not finite.
    """
    record: Any = None if isinstance(batch, list | tuple | Tensor) else batch  # a Reading or a Batch
    x: Any = (
        getattr(record, "x", None) if record is not None else batch[0] if isinstance(batch, list | tuple) else batch
    )
    if not isinstance(x, Tensor):
        kind = type(batch).__name__
        raise ValueError(f"a batch is a {kind}; expected a Batch, a tensor or a list that begins with one")
    rows: tuple[str, ...] = getattr(record, "rows", ())
    index: Tensor | None = getattr(record, "index", None)
    if len(rows) != len(x) and index is not None:
        rows = tuple(f"sample {i}" for i in index.tolist())
    if len(rows) != len(x):
        rows = tuple(f"batch {number}, sample {i}" for i in range(len(x)))
    prediction = _answers(model, x, rows, shown)
    if record is None or getattr(record, "skipped", None) is None:
        return prediction
    return replace(prediction, flags=record.flags, skipped=record.skipped, notes=record.notes)


def _predict(model: Predictor, reading: Reading, part: slice, shown: int) -> Prediction:
    return _answers(model, reading.x[part], reading.rows[part], shown)


@torch.inference_mode()
def _answers(model: Predictor, x: Tensor, rows: tuple[str, ...], shown: int) -> Prediction:
    _check_shape(model, x)
    names = model.units.names
    x = x.to(model.device)
    k = min(shown, len(names))
    if k and len(x):
        explanation = model.explain(x, shown=k)
        logits, ids = explanation.logits, explanation.shown
        contribution = explanation.contribution.gather(1, ids.clamp_min(0)) * (ids >= 0)
    else:
        logits = model(x) if len(x) else x.new_zeros(0, model.task.outputs)
        ids = torch.full((len(x), k), -1)
        contribution = torch.zeros(len(x), k)
    if len(logits) != len(x):
        raise ValueError(f"this {model.name} has several answers for one input; predict expects one")
    bad = ~logits.isfinite().all(1)
    if bool(bad.any()):
        raise ValueError(f"{rows[int(bad.int().argmax())]}: the logits of the model are not finite")
    class_names = model.class_names
    if model.task.kind != "regression" and not class_names:
        class_names = tuple(map(str, range(logits.shape[1])))
    return Prediction(rows, class_names, names, logits.cpu(), ids.cpu(), contribution.cpu(), task=model.task)


def _check_shape(model: Predictor, x: Tensor) -> None:
    """Refuse one input without a batch dimension.

    Raises:
        ValueError: naming the cure.
    """
    shape = None if model.inputs is None else model.inputs.shape
    if shape is not None and tuple(x.shape) == tuple(shape):
        raise ValueError(f"x is {tuple(x.shape)}, one input without a batch dimension; pass x[None]")


def join(parts: Sequence[Prediction]) -> Prediction:
    """Return several predictions of one model as one.

    Raises:
        ValueError: if there is none.
    """
    if not parts or not (sum(map(len, parts)) or any(part.skipped for part in parts)):
        raise ValueError("there is nothing to predict: no input was given")
    return replace(
        parts[0],
        rows=tuple(row for part in parts for row in part.rows),
        logits=torch.cat([part.logits for part in parts]),
        shown=torch.cat([part.shown for part in parts]),
        contribution=torch.cat([part.contribution for part in parts]),
        flags=tuple(flag for part in parts for flag in part.flags),
        skipped=tuple(flag for part in parts for flag in part.skipped),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )
