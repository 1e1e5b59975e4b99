"""The comparison of several runs in words and cards: table cells, a JSON record, the pairs of units on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from zoo.capabilities import HasDirections, capability
from zoo.evaluation.matched_runs import Found, Run
from zoo.evaluation.units import gallery
from zoo.reporting.pages.comparison_page import RunPair, UnitCard, ends

COLUMNS = ("pairs", "similarity", "chance", "strict chance", "mean max", "at least 0.7", "no partner", "same answer")
MAX_UNMATCHED = 24  # pictures of units without a partner, for each run


def number(value: float) -> str:
    """Return a number with three decimals and a true minus sign.

    Example:
        >>> number(0.97), number(-0.0001)
        ('0.970', '0.000')
    """
    return f"{round(value, 3) + 0.0:.3f}".replace("-", "−")


def cells(count: int | None, figures: Mapping[str, float]) -> list[str]:
    """Return a row of the table ``COLUMNS``; the mean over pairs has no ``count``."""
    similarities = [number(figures[key]) for key in ("similarity", "chance", "strict_chance", "highest")]
    shares = [f"{100 * figures[key]:.1f} %" for key in ("close", "unmatched", "same answer")]
    return ["" if count is None else str(count), *similarities, *shares]


def to_json(
    runs: Sequence[Run],
    found: Found,
    figures: Mapping[tuple[int, int], Mapping[str, float]],
    mean: Mapping[str, float],
    facts: Mapping[str, str],
) -> dict[str, Any]:
    """Return everything that a program may read: the figures, and the partner of every unit."""
    of_runs = [
        {"name": run.name, "model": run.model.name, "units": len(run.model.units), "accuracy": accuracy}
        for run, accuracy in zip(runs, found.accuracy, strict=True)
    ]
    pairs = [
        {
            "runs": [runs[i].name, runs[j].name],
            **figures[i, j],
            "left": match.left.tolist(),
            "right": match.right.tolist(),
            "similarities": match.similarity.tolist(),
        }
        for (i, j), match in found.matches.items()
    ]
    return {**facts, "support": len(found.answers[0]), "runs": of_runs, "mean": mean, "pairs": pairs}


def cards(
    runs: Sequence[Run],
    found: Found,
    lines: Mapping[tuple[int, int], Sequence[str]],
    shown: int,
    dead: str,
) -> list[RunPair]:
    """Return all that the page shows of each pair of runs, the most similar units first.

    Args:
        runs: the runs.
        found: their matched units.
        lines: table cells of each pair of runs.
        shown: number of pairs of units that have pictures, for each pair of runs.
        dead: what is said of units that cannot be matched, such as "never change".
    """
    orders = {at: match.similarity.argsort(descending=True, stable=True) for at, match in found.matches.items()}
    pictured: list[set[int]] = [set() for _ in runs]
    for at, match in found.matches.items():
        first, _, last = ends(len(match.left), shown)
        best = orders[at][[*first, *last]]
        for run, ids, unmatched in zip(at, (match.left, match.right), match.unmatched, strict=True):
            pictured[run] |= {*ids[best].tolist(), *unmatched[:MAX_UNMATCHED].tolist()}
    units = [unit_cards(*of_run) for of_run in zip(runs, found.amounts, pictured, strict=True)]
    run_pairs = []
    for (i, j), match in found.matches.items():
        order = orders[i, j]
        ids = (match.left[order].tolist(), match.right[order].tolist(), match.similarity[order].tolist())
        pairs = [(units[i][a], aligned(units[j][b], units[i][a], runs[j]), s) for a, b, s in zip(*ids, strict=True)]
        alone = [
            (runs[k].name, [units[k][u] for u in unmatched.tolist()])
            for k, unmatched in zip((i, j), match.unmatched, strict=True)
        ]
        same_class = [a.owner == b.owner for a, b, _ in pairs if a.owner and b.owner]
        note = f"{sum(same_class)} of {len(same_class)} pairs were learnt for the same class." if same_class else ""
        for k, lost in zip((i, j), match.dead, strict=True):
            note += f" {lost} of {len(units[k])} units of {runs[k].name} {dead} and are like none." if lost else ""
        chances = (match.chance, match.strict_chance)
        run_pairs.append(RunPair(runs[i].name, runs[j].name, pairs, alone, lines[i, j], chances, note))
    return run_pairs


def aligned(card: UnitCard, beside: UnitCard, run: Run) -> UnitCard:
    """Return the card of a unit of ``run`` with the sign of its picture chosen to match the unit beside it.

    Only units whose direction has no sign of its own, such as eigenvectors, change.
    """
    ours, theirs = card.source, beside.source
    if ours is None or theirs is None or not (ours.is_template and theirs.is_template):
        return card
    directions = capability(run.model, HasDirections)
    if directions is None or directions.directions().signed:
        return card
    if float((ours.picture * theirs.picture).sum()) >= 0:
        return card
    return replace(card, source=replace(ours, picture=-ours.picture))


def unit_cards(run: Run, amounts: Tensor, pictured: set[int]) -> list[UnitCard]:
    """Return the cards of all u units of a run with mean contributions ``(u,)``; pictures of those in ``pictured``."""
    units = run.model.units
    sources = gallery.sources(run.model, run.own, pictured)
    owners = [-1] * len(units) if units.owner is None else units.owner.tolist()
    return [
        UnitCard(name, amount, run.data.output_names[owner] if owner >= 0 else "", sources.get(u))
        for u, (name, amount, owner) in enumerate(zip(units.names, amounts.tolist(), owners, strict=True))
    ]
