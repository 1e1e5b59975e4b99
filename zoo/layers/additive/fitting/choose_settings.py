"""Choice of smoothness by empirical Bayes, then of jumps, factors and pairs by inner validation."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from zoo.layers.additive.fitting.assemble import Assembly, Part
from zoo.layers.additive.fitting.candidates import START, Choice, Fits, Path, search
from zoo.layers.additive.fitting.convex import JOINT_CELLS
from zoo.layers.additive.fitting.convex_losses import Loss
from zoo.layers.additive.fitting.inner_validation import Candidate, inner_splits
from zoo.layers.additive.fitting.jumps import find_jumps
from zoo.layers.additive.fitting.pairs import rank_pairs
from zoo.layers.additive.fitting.smoothness import fellner_schall
from zoo.layers.additive.fitting.training_rows import Frame

if TYPE_CHECKING:
    from zoo.layers.additive.fitting.fit_settings import AdditiveSettings

LEFT_OUT = 0.37  # share of the rows that a subset leaves out, as a bootstrap does on average


def choose(frame: Frame, settings: AdditiveSettings) -> Choice:
    """Return penalties, jumps and pairs for the training rows of a frame.

    The relative smoothness of the mains maximizes the marginal likelihood of the path's rows; the common factor,
    the jumps and everything about pairs minimize the mean validation loss. Jumps and pairs are taken only where the
    paired gain exceeds its standard error over the inner splits.
    """
    path = Path(frame, settings)
    choice, candidate, fits = _choose_mains(path)
    choice, candidate = _choose_pairs(path, choice, candidate, fits)
    choice.name = candidate.name
    choice.curve = [
        {"name": c.name, "loss": c.mean, "standard_error": float(c.losses.std(ddof=1) / np.sqrt(len(c.losses)))}
        for c in path.curve
    ]
    return choice


def _choose_mains(path: Path) -> tuple[Choice, Candidate, Fits]:
    parts = path.frame.mains(coarse=True)
    assembly = path.assemble(parts, path.rows)
    start = np.array([START[component.name] for component in assembly.components])
    strengths, theta = _smoothness(path, parts, assembly, start)
    smooth = Choice(dict(zip(assembly.component_keys(), strengths, strict=True)))
    best = _best_factor(path, parts, smooth, "smooth")
    fine = [path.frame.codes[j][path.rows] for j in range(len(parts))]
    room = JOINT_CELLS - int(assembly.starts[-1])
    columns = find_jumps(assembly, path.loss, theta, path.frame.fine, fine, path.settings.jump_z, room)
    if columns:
        with_jumps = parts + path.frame.jumps(columns)
        assembly = path.assemble(with_jumps, path.rows)
        strengths, _ = _smoothness(path, with_jumps, assembly, smooth.strengths_of(assembly))
        jumps = Choice(dict(zip(assembly.component_keys(), strengths, strict=True)), jumps=columns)
        other = _best_factor(path, with_jumps, jumps, "jumps")
        if other[1].improves(best[1]):
            best = other
    return best


def _smoothness(path: Path, parts: list[Part], assembly: Assembly, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the strengths of all components ``(components,)`` and the tables ``(D + 1, c)`` at about these.

    With ``smoothness_resamples`` the strengths are the geometric mean of those that each of several random subsets of
    the rows asks for, so that a single sample does not decide which of two similar columns is smooth.
    """
    count = path.settings.smoothness_resamples
    if not count:
        return fellner_schall(assembly, path.loss, start)
    logs = []
    for rows, _ in inner_splits(path.loss, count, LEFT_OUT, path.settings.seed + 1):
        subset = path.assemble(parts, path.rows[rows])
        logs.append(np.log(fellner_schall(subset, path.loss.take(rows), start)[0]))
    strengths = np.exp(np.mean(logs, axis=0))
    return strengths, fellner_schall(assembly, path.loss, strengths, steps=1)[1]


def _best_factor(path: Path, parts: list[Part], choice: Choice, name: str) -> tuple[Choice, Candidate, Fits]:
    fits = path.fits([parts] * len(path.splits))
    tried = {}

    def loss(factor: float) -> float:
        scaled = Choice({key: value * factor for key, value in choice.strengths.items()}, choice.jumps)
        candidate = path.evaluate(fits, f"{name} x {factor:g}", scaled)
        tried[factor] = (scaled, candidate, list(fits.state))
        return candidate.mean

    best, candidate, fits.state = tried[search(loss, path.settings.factors, 1.0)]
    return best, candidate, fits


def _choose_pairs(path: Path, choice: Choice, mains: Candidate, fits: Fits) -> tuple[Choice, Candidate]:
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
    for b, (rows, _) in enumerate(path.splits):
        loss_of_split = path.loss.take(rows)
        outputs = loss_of_split.mean_outputs(fits.train_scores(b))
        ranked.append(_rank(frame, path.rows[rows], loss_of_split, outputs, allowed))
    main_parts = frame.mains(coarse=True) + frame.jumps(choice.jumps)
    pair_fits = path.fits([main_parts + frame.pairs(pairs[:limit]) for pairs in ranked])
    tried = {}

    def loss(strength: float) -> float:
        strong = Choice(choice.strengths, choice.jumps, [], strength)
        tried[strength] = (strong, path.evaluate(pair_fits, f"{limit} pairs x {strength:g}", strong))
        return tried[strength][1].mean

    best_choice, best = tried[search(loss, settings.pair_strengths, 1000.0)]
    count = limit
    if not best.improves(mains):
        return choice, mains
    fewer = limit // 3
    if fewer:
        few_fits = path.fits([main_parts + frame.pairs(pairs[:fewer]) for pairs in ranked])
        candidate = path.evaluate(few_fits, f"{fewer} pairs x {best_choice.pair_strength:g}", best_choice)
        if not best.improves(candidate):
            best, count = candidate, fewer
    outputs = path.loss.mean_outputs(fits.mean_scores())
    best_choice.pairs = _rank(frame, path.rows, path.loss, outputs, allowed)[:count]
    return best_choice, best


def _rank(
    frame: Frame, rows: np.ndarray, loss: Loss, outputs: np.ndarray, allowed: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    sizes = np.array([axis.size for axis in frame.pair])
    ordered = np.array([axis.is_ordered for axis in frame.pair])
    strengths = rank_pairs(
        frame.pair_codes(rows), sizes, ordered, loss.gradient(outputs), loss.curvature(outputs), allowed
    )
    return [(a, b) for a, b, _ in strengths]
