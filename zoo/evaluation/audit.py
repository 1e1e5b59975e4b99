"""Audit of a model of tables: groups, fairness at its threshold, drift of a new file, monotonicity, stored data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from zoo.inputs.table import TableInputs
from zoo.inputs.tables.columns import PROBABILITIES, Column
from zoo.model import SelfExplaining
from zoo.task import Classification

if TYPE_CHECKING:
    from zoo.layers.additive import Term

MIN_ROWS = 20  # of a group; smaller ones are pooled
MAX_GROUPS = 12  # of a column
FLOOR = 1e-4  # share in place of none, in the population stability index
CALIBRATION_BINS = 10
RARE = 5  # training rows up to which a level may point to a person


class Group(NamedTuple):
    """Test rows of one group: figures by name, in the order in which they are shown."""

    column: str
    name: str
    rows: int
    figures: dict[str, float]


class Drift(NamedTuple):
    """A column of a new file beside the training rows: population stability index, missing shares, unknown cells."""

    column: str
    stability: float
    missing_before: float
    missing_now: float
    unknown: float


def groups_of(inputs: TableInputs, values: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield column, name and mask ``(n,)`` of each group of rows: levels, missing cells, quarters of numbers.

    Args:
        inputs: of the model; numbers are divided at the quartiles of the training rows.
        values: ``(n, d)`` see ``Column``.
    """
    for j, column in enumerate(inputs.schema.columns):
        x = values[:, j]
        parts: list[tuple[str, np.ndarray]] = []
        if column.has_levels:
            parts = [(level, x == place) for place, level in enumerate(column.levels)]
        elif column.quantiles:
            q = dict(zip(PROBABILITIES, column.quantiles, strict=True))
            edges = sorted({q[0.25], q[0.5], q[0.75]})
            ends = [-np.inf, *edges, np.inf]
            texts = [column.show(edge) for edge in edges]
            names = [f"up to {texts[0]}", *(f"{a} to {b}" for a, b in zip(texts[:-1], texts[1:], strict=True))]
            names.append(f"above {texts[-1]}")
            parts = [(name, (x > a) & (x <= b)) for name, a, b in zip(names, ends[:-1], ends[1:], strict=True)]
        parts.append(("(missing)", np.isnan(x)))
        largest = sorted((int(mask.sum()) for _, mask in parts), reverse=True)
        least = max(MIN_ROWS, largest[min(MAX_GROUPS, len(largest)) - 1])
        large = [(name, mask) for name, mask in parts if mask.sum() >= least][:MAX_GROUPS]
        rest = ~np.any([mask for _, mask in large], axis=0) if large else np.ones(len(x), bool)
        for name, mask in [*large, *([("(others)", rest)] if large and rest.sum() >= MIN_ROWS else [])]:
            yield column.name, name, mask


def data_sheet(inputs: TableInputs) -> list[tuple[str, str, str]]:
    """Return each column of the training data: its name, what became of it, and the share of missing cells."""
    missing = {column.name: column.missing / max(column.rows, 1) for column in inputs.schema.columns}
    rows = []
    for line in inputs.describe():
        name = next((name for name in sorted(missing, key=len, reverse=True) if line.startswith(f"{name}: ")), "")
        rest = line[len(name) + 2 :] if name else line
        rows.append((name, rest, f"{100 * missing[name]:.3g} %" if name else ""))
    return rows


def group_figures(
    model: SelfExplaining, inputs: TableInputs, values: np.ndarray, logits: Tensor, y: Tensor
) -> list[Group]:
    """Return the figures of all rows and of each group.

    Args:
        model: whose task answers.
        inputs: of the model.
        values: ``(n, d)`` of the test rows.
        logits: ``(n, c)`` of them.
        y: ``(n,)`` of them.
    """
    answers = model.task.answer(logits.double())
    everyone = [("", "all rows", np.ones(len(values), bool))]
    rows = []
    for column, name, mask in [*everyone, *groups_of(inputs, values)]:
        chosen = torch.from_numpy(mask)
        probabilities = None if answers.probabilities is None else answers.probabilities[chosen]
        figures = _figures(model, answers.prediction[chosen], probabilities, y[chosen])
        rows.append(Group(column, name, int(mask.sum()), figures))
    return rows


def _figures(model: SelfExplaining, prediction: Tensor, probabilities: Tensor | None, y: Tensor) -> dict[str, float]:
    if probabilities is None:
        error = prediction.double() - y.double()
        return {
            "mean": float(y.double().mean()),
            "mean prediction": float(prediction.double().mean()),
            "mean error": float(error.mean()),
            "RMSE": float(error.square().mean().sqrt()),
        }
    correct = (prediction == y).double()
    if not (isinstance(model.task, Classification) and model.task.classes == 2):
        return {
            "accuracy": float(correct.mean()),
            "log loss": float(-_of_truth(probabilities, y).log().mean()),
            "calibration error": calibration_error(probabilities.max(1).values, correct),
        }
    positive, chosen = y == 1, (prediction == 1).double()
    return {
        "share positive": float(positive.double().mean()),
        "mean probability": float(probabilities[:, 1].mean()),
        "calibration error": calibration_error(probabilities[:, 1], positive.double()),
        "AUROC": _auroc(probabilities[:, 1], positive),
        "log loss": float(-_of_truth(probabilities, y).log().mean()),
        "accuracy": float(correct.mean()),
        "selected": float(chosen.mean()),
        "true positive rate": float(chosen[positive].mean()),
        "false positive rate": float(chosen[~positive].mean()),
    }


def calibration_error(chance: Tensor, hit: Tensor) -> float:
    """Return the expected calibration error over 10 bins of equal width; small groups have some by chance alone.

    Args:
        chance: ``(n,)`` predicted probabilities of an event.
        hit: ``(n,)`` 1 where it happened, else 0.

    Example:
        >>> calibration_error(torch.tensor([0.25, 0.25, 0.75]), torch.tensor([0.0, 1.0, 1.0]))
        0.25
    """
    place = (chance * CALIBRATION_BINS).long().clamp_max(CALIBRATION_BINS - 1)
    gaps = torch.zeros(CALIBRATION_BINS, dtype=torch.float64).index_add_(0, place, (hit - chance).double())
    return float(gaps.abs().sum()) / len(chance)


def _auroc(chance: Tensor, positive: Tensor) -> float:
    """Return the share of pairs of a positive and a negative row in the right order; NaN where there is none."""
    ranks = torch.from_numpy(rankdata(chance.numpy()))
    count = int(positive.sum())
    pairs = count * (len(positive) - count)
    return (float(ranks[positive].sum()) - count * (count + 1) / 2) / pairs if pairs else float("nan")


def _of_truth(probabilities: Tensor, y: Tensor) -> Tensor:
    return probabilities.gather(1, y[:, None])[:, 0].clamp_min(1e-12)


def fairness(groups: Sequence[Group]) -> list[tuple[str, str, float, str, float]]:
    """Return for each column the least and the most often selected group with their rates, most unequal column first.

    Example:
        >>> rows = [Group("sex", "F", 50, {"selected": 0.1}), Group("sex", "M", 50, {"selected": 0.4})]
        >>> fairness(rows)
        [('sex', 'F', 0.1, 'M', 0.4)]
    """
    by_column: dict[str, list[Group]] = {}
    for group in groups:
        if group.column and "selected" in group.figures:
            by_column.setdefault(group.column, []).append(group)
    rows = []
    for column, members in by_column.items():
        if len(members) > 1:
            low, high = (pick(members, key=lambda g: g.figures["selected"]) for pick in (min, max))
            rows.append((column, low.name, low.figures["selected"], high.name, high.figures["selected"]))
    return sorted(rows, key=lambda row: row[2] / max(row[4], 1e-12))


def drift(inputs: TableInputs, values: np.ndarray) -> list[Drift]:
    """Return each column of new rows beside the training rows, most changed first.

    The population stability index is the sum over bins of ``(a - e) log(a / e)``, a and e the shares of the new and of
    the training rows; by custom, below 0.1 is stable and above 0.25 changed. Numbers are divided at the quantiles of
    the training rows. Rows on a frequent number are divided as the training rows were, as far as they suffice.

    Args:
        inputs: of the model, with counts and quantiles of the training rows.
        values: ``(n, d)`` of the new rows.
    """
    rows = []
    for j, column in enumerate(inputs.schema.columns):
        x = values[:, j]
        missing = float(np.isnan(x).mean())
        before = column.missing / max(column.rows, 1)
        expected, actual = _shares(column, x[~np.isnan(x)])
        e = np.maximum(np.append(expected * (1 - before), before), FLOOR)
        a = np.maximum(np.append(actual * (1 - missing), missing), FLOOR)
        unknown = float((x >= len(column.levels)).mean()) if column.has_levels else 0.0
        rows.append(Drift(column.name, float(((a - e) * np.log(a / e)).sum()), before, missing, unknown))
    return sorted(rows, key=lambda row: -row.stability)


def _shares(column: Column, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of training rows and of known new values ``x`` in the bins of a column."""
    if column.has_levels:
        counts = np.array([*(column.counts or (0,) * len(column.levels)), column.other], float)
        if not column.counts:
            return np.zeros(0), np.zeros(0)
        actual = np.bincount(np.minimum(x, len(counts) - 1).astype(int), minlength=len(counts))
        return counts / max(counts.sum(), 1), actual / max(len(x), 1)
    if not column.quantiles:
        return np.zeros(0), np.zeros(0)
    probabilities, quantiles = np.array(PROBABILITIES[1:-1]), np.array(column.quantiles[1:-1])
    ordered = np.sort(x)
    low, high = (np.searchsorted(ordered, quantiles, side) / max(len(x), 1) for side in ("left", "right"))
    # a quantile on a frequent value says that the share lies between those below the value and up to it
    cumulative = np.clip(probabilities, low, high)
    return np.diff([0.0, *probabilities, 1.0]), np.diff([0.0, *cumulative, 1.0])


def monotonicity(terms: Sequence[Term]) -> list[tuple[str, str]]:
    """Return for each column of numbers whether its function rises or falls over the bins with training rows."""
    paired = {name for term in terms if len(term.bins) == 2 for name in term.columns}
    rows = []
    for term in terms:
        if len(term.bins) == 2 or not term.bins[0].is_ordered or term.table.shape[-1] > 1:
            continue
        table = term.table[1:-1, 0][term.counts[1:-1] > 0]
        steps = np.diff(table)
        signs = np.sign(steps[np.abs(steps) > 1e-12])
        turns = int((np.diff(signs) != 0).sum())
        words = f"neither: {turns} changes of direction"
        if not turns:
            words = "rising" if (signs > 0).any() else "falling" if len(signs) else "constant"
        rows.append((term.name, words + (" (its pairs may differ)" if term.name in paired else "")))
    return rows


def stored_data(inputs: TableInputs) -> list[tuple[str, str]]:
    """Return what a checkpoint holds of single training rows: example cells, extreme values and rare levels."""
    rows = []
    for column in inputs.schema.columns:
        parts = [f"example cells {', '.join(column.examples)}"] if column.examples else []
        if column.quantiles:
            parts.append(
                f"smallest and largest value {column.show(column.quantiles[0])}, {column.show(column.quantiles[-1])}"
            )
        rare = [level for level, n in zip(column.levels, column.counts, strict=False) if n <= RARE]
        if rare:
            parts.append(f"{len(rare)} levels of at most {RARE} rows: {', '.join(rare[:5])}")
        rows.append((column.name, "; ".join(parts) or "nothing of single rows"))
    return rows


def table_inputs(model: Any, name: str) -> TableInputs:
    """Return the inputs of a model of tables.

    Raises:
        ValueError: if it reads no tables.
    """
    if not isinstance(model.inputs, TableInputs):
        raise ValueError(f"{name} reads no tables; `zoo evaluate` writes the page of other models")
    return model.inputs
