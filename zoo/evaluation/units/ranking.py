"""The units with the lowest per-unit scores."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from zoo.capabilities import Editable, capability
from zoo.data.base import Data
from zoo.evaluation.units import gallery
from zoo.metrics.score_result import Result
from zoo.model import SelfExplaining
from zoo.reporting.context import UnitRow
from zoo.reporting.interactive.vocabulary import Vocabulary, VocabularyUnit
from zoo.weights.integrity import tensor_hash

MAX_LISTED = 500  # units of a page
MAX_PICTURED = 150  # of them with a picture
STRIKES = ("remove", "forbid", "drop", "hold")  # operations that take a unit out of the answer, the first that there is


@dataclass(frozen=True)
class UnitRanking:
    """Units, lowest mean score first.

    Attributes:
        rows: the units.
        scores: column headings of their values.
    """

    rows: list[UnitRow]
    scores: list[str]


def pass_rates(results: Mapping[str, Result], count: int) -> dict[str, torch.Tensor]:
    """Return the shares ``(u,)`` of inputs on which units pass the test of each score, by its heading.

    Args:
        results: of a suite.
        count: u, number of units of the model.
    """
    vectors: dict[str, torch.Tensor] = {}
    for result in results.values():
        vector = result.per_unit.get(result.unit_pass_rate)
        if vector is not None and len(vector) == count:
            heading = result.unit_readouts.get(result.unit_pass_rate, result.unit_pass_rate)
            vectors.setdefault(heading, vector.double())
    return vectors


def vocabulary(
    model: SelfExplaining, data: Data, results: Mapping[str, Result], *, name: str, checkpoint: str
) -> Vocabulary:
    """Return the units with their per-unit scores, lowest mean first, and how they can be struck out.

    Args:
        model: in eval mode.
        data: what the model was trained on, for the pictures of the units.
        results: of a suite.
        name: of the checkpoint.
        checkpoint: name or folder, as on the command line.
    """
    units = model.units
    vectors = pass_rates(results, len(units))
    every = torch.stack(list(vectors.values())) if vectors else torch.zeros(0, len(units)).double()
    mean = every.nanmean(0) if vectors else torch.zeros(len(units))
    order: list[int] = mean.nan_to_num(torch.inf).argsort(stable=True).tolist()[:MAX_LISTED]
    origins = gallery.sources(model, data, order[:MAX_PICTURED])
    editable = capability(model, Editable)
    operations = editable.edit_operations() if editable is not None else {}
    return Vocabulary(
        [
            VocabularyUnit(
                units.names[u],
                "" if units.owner is None or units.owner[u] < 0 else data.output_names[int(units.owner[u])],
                [float(v) if bool(v.isfinite()) else None for v in every[:, u]],
                origins.get(u),
            )
            for u in order
        ],
        len(units),
        list(vectors),
        strike=next((name for name in STRIKES if name in operations), ""),
        model=name,
        weights=tensor_hash(model.state_dict()),
        command=f"zoo edit {shlex.quote(checkpoint)} edits.yaml",
    )


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
    vectors = pass_rates(results, len(model.units))
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
