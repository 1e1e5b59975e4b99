"""The units with the lowest per-unit scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from zoo.data.base import Data
from zoo.evaluation.units import gallery
from zoo.metrics.score_result import Result
from zoo.model import SelfExplaining
from zoo.reporting.context import UnitRow


@dataclass(frozen=True)
class UnitRanking:
    """Units, lowest mean score first.

    Attributes:
        rows: the units.
        scores: column headings of their values.
    """

    rows: list[UnitRow]
    scores: list[str]


def lowest_units(model: SelfExplaining, data: Data, results: Mapping[str, Result], *, count: int = 10) -> UnitRanking:
    """Rank units by the mean over their per-unit scores; a unit that none of them can score is left out.

    The scores are those that name a ``unit_pass_rate``. Of several results with one heading, such as a score and its
    random control, the first counts.

    Args:
        model: in eval mode.
        data: what the model was trained on, for the pictures of the units.
        results: of a suite.
        count: number of units.
    """
    vectors: dict[str, torch.Tensor] = {}
    for result in results.values():
        vector = result.per_unit.get(result.unit_pass_rate)
        if vector is not None and len(vector) == len(model.units):
            heading = result.unit_readouts.get(result.unit_pass_rate, result.unit_pass_rate)
            vectors.setdefault(heading, vector.double())
    if not vectors:
        return UnitRanking([], [])
    every = torch.stack(list(vectors.values()))
    mean = every.nanmean(0)
    order: list[int] = mean.nan_to_num(torch.inf).argsort(stable=True).tolist()
    lowest = [u for u in order if bool(mean[u].isfinite())][:count]
    origins, owner = gallery.sources(model, data, lowest), model.units.owner
    rows = [
        UnitRow(
            model.units.names[u],
            "" if owner is None or owner[u] < 0 else data.output_names[int(owner[u])],
            origins.get(u),
            [f"{100 * float(v):.0f} %" if bool(v.isfinite()) else "" for v in every[:, u]],
        )
        for u in lowest
    ]
    return UnitRanking(rows, list(vectors))
