"""Coefficients as integer points: several multipliers, rounding, then moves by one point while they help."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from zoo.layers.scoring.patterns import Patterns
from zoo.layers.scoring.support import Support

MULTIPLIERS = 20
ROUNDS = 30  # of moves


class IntegerPoints(NamedTuple):
    """A scoring card: the log odds are ``(sum of the points of true rules + intercept) / multiplier``."""

    rules: tuple[int, ...]
    points: np.ndarray
    intercept: int
    multiplier: float
    objective: float


def round_points(patterns: Patterns, support: Support, *, max_points: int = 5) -> IntegerPoints:
    """Return integer points of low objective for the rules of a support.

    Args:
        patterns: rows of all candidate rules.
        support: rules with real coefficients.
        max_points: largest absolute number of points of a rule; the intercept is any integer.
    """
    design = patterns.design(support.rules)
    largest = max(float(np.abs(support.theta[:-1]).max(initial=0.0)), 1e-9)
    best = None
    for multiplier in np.linspace(1.0, max_points, MULTIPLIERS) / largest:
        points = np.round(support.theta * multiplier)
        points[:-1] = np.clip(points[:-1], -max_points, max_points)
        points, value = _improve(patterns, design, points, multiplier, max_points)
        if best is None or value < best[2]:
            best = (points, multiplier, value)
    assert best is not None
    points, multiplier, _ = best
    score = design @ points
    scaled = minimize_scalar(
        lambda log: patterns.value(score * np.exp(-log), points * np.exp(-log)),
        bounds=(np.log(multiplier) - 1, np.log(multiplier) + 1),
        method="bounded",
    )
    if scaled.fun < best[2]:
        multiplier = float(np.exp(scaled.x))
    value = patterns.value(score / multiplier, points / multiplier)
    return IntegerPoints(support.rules, points[:-1].astype(int), int(points[-1]), float(multiplier), value)


def _improve(
    patterns: Patterns, design: np.ndarray, points: np.ndarray, multiplier: float, max_points: int
) -> tuple[np.ndarray, float]:
    """Return points after the best moves of one rule by one point, with the intercept moved along, until none helps."""
    value = patterns.value(design @ points / multiplier, points / multiplier)
    for _ in range(ROUNDS):
        moves = []
        for i in range(len(points)):
            for step in (-1, 1):
                for shift in (-1, 0, 1) if i < len(points) - 1 else (0,):
                    moved = points.copy()
                    moved[i] += step
                    moved[-1] += shift
                    if i < len(points) - 1 and abs(moved[i]) > max_points:
                        continue
                    moves.append((patterns.value(design @ moved / multiplier, moved / multiplier), moved))
        lowest, moved = min(moves, key=lambda move: move[0])
        if lowest >= value - 1e-12:
            break
        points, value = moved, lowest
    return points, value
