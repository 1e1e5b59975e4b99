"""What an edit changes: scores before and after, on all rows, on those that it touches, and by slice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.data.base import Data
from zoo.evaluation.audit import groups_of
from zoo.evaluation.scoring import score
from zoo.inputs.table import TableInputs
from zoo.metrics.score_result import Result
from zoo.model import SelfExplaining
from zoo.paths import did_you_mean

TOUCHED = 1e-6  # change of a logit or a contribution, relative to the largest logit of the row, that counts
MAX_CLASSES = 20  # classes that are slices


class ScoreChange(NamedTuple):
    """One score before and after.

    Attributes:
        part: ``all rows``, ``touched rows``, or the name of a slice.
        rows: number of samples.
        score: its name.
        before: value; None if it does not apply.
        after: value.
    """

    part: str
    rows: int
    score: str
    before: float | None
    after: float | None


class Rows(NamedTuple):
    """A split as two models answer it; n samples.

    Attributes:
        before: logits ``(n, c)``.
        after: logits ``(n, c)``.
        y: ``(n, ...)`` targets.
        touched: ``(n,)`` bool, whether the answer or the explanation of the answer differs.
        values: ``(n, d)`` columns of a table; None for other inputs.
    """

    before: Tensor
    after: Tensor
    y: Tensor
    touched: Tensor
    values: Any = None


def score_changes(
    before: SelfExplaining,
    after: SelfExplaining,
    data: Data,
    suite: str,
    *,
    by: str | None = None,
    accelerator: str = "auto",
    limit: int | None = None,
    progress: bool = False,
) -> tuple[list[ScoreChange], tuple[dict[str, Result], dict[str, Result]]]:
    """Score a model before and after edits on the test split.

    Args:
        before: the model.
        after: the same, edited.
        data: source of the test split.
        suite: scores of all rows: a name under ``configs/evaluate``, or a YAML file.
        by: column of a table whose groups are the slices; None for the classes.
        accelerator: as in ``score``.
        limit: number of batches; None for all.
        progress: show progress bars.

    Returns:
        The changes, and the results of the suite before and after.

    Raises:
        ValueError: if there is no such column.
    """
    options = {"accelerator": accelerator, "limit": limit, "progress": progress}
    check_slices(before, by)
    one, two = (score(model, data, suite, **options) for model in (before, after))
    rows = split_rows(before, after, data.loader("test"), limit)
    changes = [
        ScoreChange("all rows", len(rows.y), result.title or name, result.value, two[name].value)
        for name, result in one.items()
        if name in two and (result.value is not None or two[name].value is not None)
    ]
    for part, mask in parts(before, rows, data.output_names, by):
        figures = [figures_of(before, logits[mask], rows.y[mask]) for logits in (rows.before, rows.after)]
        count = int(mask.sum())
        changes += [ScoreChange(part, count, name, figures[0][name], figures[1][name]) for name in figures[0]]
        if not count:
            changes.append(ScoreChange(part, 0, "", None, None))
    return changes, (one, two)


def check_slices(model: SelfExplaining, by: str | None) -> None:
    """Raise ValueError if ``by`` is no column of the model's inputs."""
    if by is None:
        return
    if not isinstance(model.inputs, TableInputs):
        raise ValueError(f"slices of {by!r} are of a column of a table, and the model reads none; leave it out")
    names = [column.name for column in model.inputs.schema.columns]
    if by not in names:
        raise ValueError(f"there is no column {by!r}{did_you_mean(by, names)} (has: {', '.join(names)})")


@torch.no_grad()
def split_rows(
    before: SelfExplaining, after: SelfExplaining, loader: Iterable[Batch], limit: int | None = None
) -> Rows:
    """Return the answers of two models to the batches of a loader, and where they or their explanations differ."""
    parts: list[tuple[Tensor, ...]] = []
    xs = []
    table = isinstance(before.inputs, TableInputs)
    for n, batch in enumerate(loader):
        if limit is not None and n >= limit:
            break
        one = before.explain(batch.x, shown=0)
        two = after.explain(batch.x, target=one.target, shown=0)
        scale = one.logits.abs().amax(1).clamp_min(1e-6) * TOUCHED
        touched = (one.logits - two.logits).abs().amax(1) > scale
        touched |= _explained(before, after, one.contribution, two.contribution) > scale
        parts.append((one.logits, two.logits, batch.targets, touched))
        if table:
            xs.append(batch.x)
    if not parts:
        raise ValueError("the test split has no rows to score; add --no-scores, or name data with data.*")
    columns = [torch.cat(column) for column in zip(*parts, strict=True)]
    values = before.inputs.encoding.decode(torch.cat(xs)) if isinstance(before.inputs, TableInputs) else None
    return Rows(columns[0], columns[1], columns[2], columns[3], values)


def _explained(before: SelfExplaining, after: SelfExplaining, one: Tensor, two: Tensor) -> Tensor:
    """Return the largest change ``(b,)`` of what a unit adds; a unit that is not there adds 0."""
    ids = same_units(before, after)
    known = ids >= 0
    same = one.new_zeros(one.shape)
    same[:, ids[known]] = two[:, known]
    change = torch.cat([one - same, two[:, ~known], one.new_zeros(len(one), 1)], 1)
    return change.abs().amax(1)


def same_units(before: SelfExplaining, after: SelfExplaining) -> Tensor:
    """Return for each unit of the edited model its id in the other, ``(u,)``, -1 for a new one."""
    keys = []
    for model in (before, after):
        names = list(model.units.names)
        origin = range(len(names)) if model.history is None else model.history.state.origin
        keys.append([(i, "") if i >= 0 else (-1, name) for i, name in zip(origin, names, strict=True)])
    place = {key: i for i, key in enumerate(keys[0])}
    return torch.tensor([place.get(key, -1) for key in keys[1]], dtype=torch.int64)


def parts(model: SelfExplaining, rows: Rows, names: Sequence[str], by: str | None) -> Iterator[tuple[str, Tensor]]:
    """Yield name and mask ``(n,)`` of the touched rows and of each slice.

    Args:
        model: whose inputs and task they are.
        rows: n samples.
        names: of the classes.
        by: column of a table; None for the classes, or no slices where the classes are many or none.
    """
    yield "touched rows", rows.touched
    if by is not None and isinstance(model.inputs, TableInputs):
        for column, name, mask in groups_of(model.inputs, rows.values):
            if column == by:
                yield f"{by} = {name}", torch.from_numpy(mask)
        return
    if model.task.kind != "classification" or model.input_kind == "tokens" and len(names) > MAX_CLASSES:
        return
    changed = [c for c in range(len(names)) if bool((rows.touched & (rows.y == c)).any())]
    for c in changed[:MAX_CLASSES]:
        yield f"class {names[c]}", rows.y == c


def figures_of(model: SelfExplaining, logits: Tensor, y: Tensor) -> Mapping[str, float | None]:
    """Return the figures of some rows by name; of rows of one class without an AUROC.

    Args:
        model: whose task answers.
        logits: ``(n, c)``.
        y: ``(n, ...)`` targets.
    """
    if not len(y):
        return {}
    logits = logits.double()
    answers = model.task.answer(logits)
    if model.task.kind == "classification":
        figures = {
            "accuracy": float((answers.prediction == y).double().mean()),
        }
        if answers.probabilities is not None:
            figures["log loss"] = float(-answers.probabilities.gather(1, y[:, None]).clamp_min(1e-12).log().mean())
        if logits.shape[1] == 2 and len(y.unique()) == 2:
            figures["AUROC"] = auroc(logits[:, 1] - logits[:, 0], y == 1)
        return figures
    if model.task.kind == "regression":
        return {"RMSE": float((answers.prediction.double() - y.double()).square().mean().sqrt())}
    known = y.isfinite()
    return {"label accuracy": float(((answers.prediction == y) | ~known).double().mean())}


def auroc(score: Tensor, positive: Tensor) -> float:
    """Return the probability that a positive row has a larger score than a negative one, ties counted half.

    Example:
        >>> auroc(torch.tensor([0.1, 0.4, 0.4, 0.8]), torch.tensor([False, True, False, True]))
        0.875
    """
    order = score.unique(return_inverse=True)[1]
    high, low = (torch.bincount(order[mask], minlength=int(order.max()) + 1).double() for mask in (positive, ~positive))
    below = low.cumsum(0) - low
    return float((high * (below + low / 2)).sum() / (high.sum() * low.sum()))
