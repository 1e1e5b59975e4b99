"""The path of an additive fit: smoothness by empirical Bayes, then jumps, factors and pairs by inner validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from zoo.layers.additive.assemble import Assembly, Part
from zoo.layers.additive.convex import JOINT_CELLS
from zoo.layers.additive.frame import Frame
from zoo.layers.additive.pairs import rank_pairs
from zoo.layers.additive.selection import Candidate, SplitFits, inner_splits
from zoo.layers.additive.smoothness import fellner_schall, find_jumps

if TYPE_CHECKING:
    from zoo.layers.additive.fit import AdditiveSettings

START = {"slope": 3.0, "curvature": 0.03, "ridge": 3.0, "jumps": 3.0, "surface": 300.0}


@dataclass
class Choice:
    """What the validation chose.

    Args:
        strengths: Strength by role, columns and component name.
        jumps: Columns with jumps.
        pairs: Pairs of columns.
        pair_strength: Penalty of the pairs.
        name: The chosen candidates in words.
        curve: Mean validation loss and standard error by candidate.
    """

    strengths: dict[tuple, float]
    jumps: list[int] = field(default_factory=list)
    pairs: list[tuple[int, int]] = field(default_factory=list)
    pair_strength: float = START["surface"]
    name: str = ""
    curve: list[dict] = field(default_factory=list)

    def strengths_of(self, assembly: Assembly) -> np.ndarray:
        """Return the strengths of the components of an assembly of the same parts at any bins, shape (components,)."""
        default = START | {"surface": self.pair_strength}
        return np.array([self.strengths.get(key, default[key[2]]) for key in assembly.component_keys()])


class _Path:
    def __init__(self, frame: Frame, settings: AdditiveSettings) -> None:
        self.frame = frame
        self.settings = settings
        self.rows = frame.path_rows
        self.loss = frame.loss.take(self.rows)
        self.splits = inner_splits(self.loss, settings.inner_splits, settings.validation_share, settings.seed)
        self.curve: list[Candidate] = []

    def assemble(self, parts: list[Part], rows: np.ndarray) -> Assembly:
        return Assembly(parts, self.frame.all_codes(parts, rows))

    def fits(self, parts_of_split: list[list[Part]]) -> SplitFits:
        train = [self.rows[rows] for rows, _ in self.splits]
        held_out = [self.rows[rows] for _, rows in self.splits]
        return SplitFits(
            [self.assemble(parts, rows) for parts, rows in zip(parts_of_split, train, strict=True)],
            [self.frame.loss.take(rows) for rows in train],
            [self.frame.all_codes(parts, rows) for parts, rows in zip(parts_of_split, held_out, strict=True)],
            [self.frame.loss.take(rows) for rows in held_out],
        )

    def evaluate(self, fits: SplitFits, name: str, choice: Choice) -> Candidate:
        candidate = fits.evaluate(name, [choice.strengths_of(problem.assembly) for problem in fits.problems])
        self.curve.append(candidate)
        return candidate


def choose(frame: Frame, settings: AdditiveSettings) -> Choice:
    """Return penalties, jumps and pairs for the training rows of a frame.

    The relative smoothness of the mains maximizes the marginal likelihood of the path's rows; the common factor,
    the jumps and everything about pairs minimize the mean validation loss. Jumps and pairs are taken only where the
    paired gain exceeds its standard error over the inner splits.
    """
    path = _Path(frame, settings)
    choice, candidate, fits = _choose_mains(path)
    choice, candidate = _choose_pairs(path, choice, candidate, fits)
    choice.name = candidate.name
    choice.curve = [
        {"name": c.name, "loss": c.mean, "standard_error": float(c.losses.std(ddof=1) / np.sqrt(len(c.losses)))}
        for c in path.curve
    ]
    return choice


def _choose_mains(path: _Path) -> tuple[Choice, Candidate, SplitFits]:
    parts = path.frame.mains(coarse=True)
    assembly = path.assemble(parts, path.rows)
    start = np.array([START[component.name] for component in assembly.components])
    strengths, theta = fellner_schall(assembly, path.loss, start)
    smooth = Choice(dict(zip(assembly.component_keys(), strengths, strict=True)))
    best = _best_factor(path, parts, smooth, "smooth")
    fine = [path.frame.codes[j][path.rows] for j in range(len(parts))]
    room = JOINT_CELLS - int(assembly.starts[-1])
    columns = find_jumps(assembly, path.loss, theta, path.frame.fine, fine, path.settings.jump_z, room)
    if columns:
        with_jumps = parts + path.frame.jumps(columns)
        assembly = path.assemble(with_jumps, path.rows)
        strengths, _ = fellner_schall(assembly, path.loss, smooth.strengths_of(assembly))
        jumps = Choice(dict(zip(assembly.component_keys(), strengths, strict=True)), jumps=columns)
        other = _best_factor(path, with_jumps, jumps, "jumps")
        if other[1].improves(best[1]):
            best = other
    return best


def _best_factor(path: _Path, parts: list[Part], choice: Choice, name: str) -> tuple[Choice, Candidate, SplitFits]:
    fits = path.fits([parts] * len(path.splits))
    tried = {}

    def loss(factor: float) -> float:
        scaled = Choice({key: value * factor for key, value in choice.strengths.items()}, choice.jumps)
        candidate = path.evaluate(fits, f"{name} x {factor:g}", scaled)
        tried[factor] = (scaled, candidate, list(fits.thetas))
        return candidate.mean

    best, candidate, fits.thetas = tried[_search(loss, path.settings.factors, 1.0)]
    return best, candidate, fits


def _search(loss: Callable[[float], float], grid: tuple[float, ...], start: float) -> float:
    """Return the best value of a descending grid near a start: on to smaller values, else on to larger ones."""
    grid = tuple(sorted(grid, reverse=True))
    first = min(range(len(grid)), key=lambda i: abs(np.log(grid[i] / start)))
    best, best_loss = first, loss(grid[first])
    for indices in (range(first + 1, len(grid)), range(first - 1, -1, -1)):
        for i in indices:
            value = loss(grid[i])
            if value >= best_loss:
                break
            best, best_loss = i, value
        if best != first:
            break
    return grid[best]


def _choose_pairs(path: _Path, choice: Choice, mains: Candidate, fits: SplitFits) -> tuple[Choice, Candidate]:
    settings, frame = path.settings, path.frame
    names = [axis.name for axis in frame.fine]
    allowed = [
        (a, b)
        for a, b in combinations(range(len(names)), 2)
        if not {names[a], names[b]} & set(settings.monotone)
        and (settings.pairs is None or {(names[a], names[b]), (names[b], names[a])} & set(settings.pairs))
    ]
    limit = min(len(allowed), 3 * len(names) if settings.max_pairs is None else settings.max_pairs)
    if limit == 0:
        return choice, mains
    ranked = []
    for problem, theta, (rows, _) in zip(fits.problems, fits.thetas, path.splits, strict=True):
        outputs = problem.loss.mean_outputs(problem.design @ theta)
        ranked.append(_rank(frame, path.rows[rows], problem.loss, outputs, allowed))
    main_parts = frame.mains(coarse=True) + frame.jumps(choice.jumps)
    pair_fits = path.fits([main_parts + frame.pairs(pairs[:limit]) for pairs in ranked])
    tried = {}

    def loss(strength: float) -> float:
        strong = Choice(choice.strengths, choice.jumps, [], strength)
        tried[strength] = (strong, path.evaluate(pair_fits, f"{limit} pairs x {strength:g}", strong))
        return tried[strength][1].mean

    best_choice, best = tried[_search(loss, settings.pair_strengths, 1000.0)]
    count = limit
    if not best.improves(mains):
        return choice, mains
    fewer = limit // 3
    if fewer:
        few_fits = path.fits([main_parts + frame.pairs(pairs[:fewer]) for pairs in ranked])
        candidate = path.evaluate(few_fits, f"{fewer} pairs x {best_choice.pair_strength:g}", best_choice)
        if not best.improves(candidate):
            best, count = candidate, fewer
    parts = frame.mains(coarse=True) + frame.jumps(choice.jumps)
    assembly = path.assemble(parts, path.rows)
    theta = np.mean(fits.thetas, axis=0)
    outputs = path.loss.mean_outputs(assembly.design @ theta)
    best_choice.pairs = _rank(frame, path.rows, path.loss, outputs, allowed)[:count]
    return best_choice, best


def _rank(frame: Frame, rows, loss, outputs, allowed) -> list[tuple[int, int]]:
    sizes = np.array([axis.size for axis in frame.pair])
    ordered = np.array([axis.is_ordered for axis in frame.pair])
    strengths = rank_pairs(
        frame.pair_codes(rows), sizes, ordered, loss.gradient(outputs), loss.curvature(outputs), allowed
    )
    return [(a, b) for a, b, _ in strengths]
