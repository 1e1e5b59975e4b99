"""Candidate rules of a scoring card: a number from a threshold on, one of the frequent labels, a missing cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zoo.layers.additive import ColumnBins, fit_bins


@dataclass(frozen=True)
class Rule:
    """A condition on one column, true for whole bins.

    Attributes:
        column: position of the column.
        holds: ``(bins,)`` bool, the bins of the column for which the rule is true.
    """

    column: int
    holds: np.ndarray


def candidate_rules(
    cells: Mapping[str, np.ndarray],
    kinds: Mapping[str, str],
    orders: Mapping[str, Sequence[str]],
    weights: np.ndarray,
    *,
    cuts: int = 8,
    min_share: float = 0.02,
) -> tuple[list[ColumnBins], list[Rule], np.ndarray]:
    """Return the bins of all columns, the candidate rules, and where they are true, ``(n, p)`` bool.

    Numbers and ordinals have a rule for each threshold (true from the cut on), categories one for each bin, and every
    column one for its missing cells; rules that are true or false for less than ``min_share`` of the rows are left out.

    Args:
        cells: columns by name, each ``(n,)``.
        kinds: kind by column.
        orders: labels of ordinals, lowest first.
        weights: ``(n,)`` of the rows.
        cuts: largest number of value bins of a column.
        min_share: share of the rows.
    """
    bins: list[ColumnBins] = []
    rules: list[Rule] = []
    columns: list[np.ndarray] = []
    total = float(weights.sum())
    for j, (name, column) in enumerate(cells.items()):
        rare = max(1, int(min_share * len(column)))
        axis = fit_bins(
            name, column, kind=kinds[name], order=orders.get(name), weights=weights, max_bins=cuts, rare=rare
        )
        codes = axis.transform(column)
        bins.append(axis)
        inner = np.arange(1, axis.size - 1)
        if axis.is_ordered:
            sets = [np.isin(np.arange(axis.size), inner[k:]) for k in range(1, len(inner))]
        else:
            sets = [np.arange(axis.size) == code for code in (inner if len(inner) > 2 else inner[1:])]
        for holds in [*sets, np.arange(axis.size) == 0]:
            true = holds[codes]
            share = float(weights[true].sum()) / total
            if min_share <= share <= 1 - min_share:
                rules.append(Rule(j, holds))
                columns.append(true)
    if not rules:
        raise ValueError(f"no rule is true for {100 * min_share:g} % to {100 - 100 * min_share:g} % of the rows")
    return bins, rules, np.stack(columns, 1)
