"""Candidates of an additive fit on the inner splits, and what the validation chose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from zoo.layers.additive.fitting.assemble import Assembly, Part, PartList
from zoo.layers.additive.fitting.inner_validation import Candidate, SplitFits, inner_splits
from zoo.layers.additive.fitting.training_rows import Frame
from zoo.layers.additive.kernel.kernel_fits import KernelFits
from zoo.layers.additive.kernel.part_kernels import prefers_kernel

if TYPE_CHECKING:
    from zoo.layers.additive.fitting.fit_settings import AdditiveSettings

Fits = SplitFits | KernelFits
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

    def strengths_of(self, parts: PartList) -> np.ndarray:
        """Return the strengths of the components of the same parts at any bins, shape (components,)."""
        default = START | {"surface": self.pair_strength}
        return np.array([self.strengths.get(key, default[key[2]]) for key in parts.component_keys()])


class Path:
    """Training rows, inner splits and all candidates that were evaluated.

    Args:
        frame: Training rows.
        settings: Candidates and splits.
    """

    def __init__(self, frame: Frame, settings: AdditiveSettings) -> None:
        self.frame = frame
        self.settings = settings
        self.rows = frame.path_rows
        self.loss = frame.loss.take(self.rows)
        self.splits = inner_splits(self.loss, settings.inner_splits, settings.validation_share, settings.seed)
        self.curve: list[Candidate] = []

    def assemble(self, parts: list[Part], rows: np.ndarray) -> Assembly:
        """Return the design and penalties of parts on some rows."""
        return Assembly(parts, self.frame.all_codes(parts, rows))

    def fits(self, parts_of_split: list[list[Part]]) -> Fits:
        """Return the fits of every inner split, which has its own list of parts."""
        lists = [PartList(parts) for parts in parts_of_split]
        if all(prefers_kernel(parts, self.loss) for parts in lists):
            codes = [self.frame.all_codes(parts, self.rows) for parts in parts_of_split]
            return KernelFits(lists, codes, self.loss, self.splits)
        train = [self.rows[rows] for rows, _ in self.splits]
        held_out = [self.rows[rows] for _, rows in self.splits]
        return SplitFits(
            [self.assemble(parts, rows) for parts, rows in zip(parts_of_split, train, strict=True)],
            [self.frame.all_codes(parts, rows) for parts, rows in zip(parts_of_split, held_out, strict=True)],
            self.loss,
            self.splits,
        )

    def evaluate(self, fits: Fits, name: str, choice: Choice) -> Candidate:
        """Fit a candidate on every split and append it to the curve."""
        candidate = fits.evaluate(name, [choice.strengths_of(parts) for parts in fits.parts])
        self.curve.append(candidate)
        return candidate


def search(loss: Callable[[float], float], grid: tuple[float, ...], start: float) -> float:
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
