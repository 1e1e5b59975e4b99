"""Choice of penalties and pairs by the mean loss on inner validation splits of the training rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from zoo.layers.additive.fitting.assemble import Assembly, one_hot
from zoo.layers.additive.fitting.convex import ConvexProblem
from zoo.layers.additive.fitting.convex_losses import Loss


def inner_splits(loss: Loss, count: int, share: float, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return training and validation rows of ``count`` random splits, stratified by class, ascending row numbers.

    Args:
        loss: Loss of the training rows; its targets are stratified unless the task is regression.
        count: Number of splits.
        share: Share of the validation rows.
        seed: Seed of the draw.
    """
    n = len(loss.y)
    generator = np.random.default_rng(seed)
    classes = np.zeros(n, dtype=int) if loss.task == "regression" else loss.y.astype(int)
    groups = [np.flatnonzero(classes == k) for k in np.unique(classes)]
    splits = []
    for _ in range(count):
        drawn = [
            generator.permutation(group)[: max(1, round(share * len(group)))] for group in groups if len(group) > 1
        ]
        held_out = np.zeros(n, dtype=bool)
        held_out[np.concatenate(drawn)] = True
        splits.append((np.flatnonzero(~held_out), np.flatnonzero(held_out)))
    return splits


@dataclass
class Candidate:
    """One row of the validation curve.

    Args:
        name: What was tried.
        losses: Mean validation loss of every inner split, shape (splits,).
    """

    name: str
    losses: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def mean(self) -> float:
        """Mean validation loss over the inner splits."""
        return float(self.losses.mean())

    def improves(self, other: Candidate, errors: float = 1.0) -> bool:
        """True when the paired gain over another candidate exceeds ``errors`` standard errors."""
        gain = other.losses - self.losses
        return float(gain.mean()) > errors * float(gain.std(ddof=1)) / np.sqrt(len(gain))


class SplitFits:
    """Fits of the same parts on every inner split, warm started from one strength of the penalties to the next.

    Args:
        assemblies: Parts of every split with the design of the rows that it fits, one for each split.
        losses: Losses of these rows.
        validation_codes: Cells of the validation rows in every part, one list for each split.
        validation_losses: Losses of the validation rows.
    """

    def __init__(
        self,
        assemblies: list[Assembly],
        losses: list[Loss],
        validation_codes: list[list[np.ndarray]],
        validation_losses: list[Loss],
        tolerance: float = 1e-5,
    ) -> None:
        self.problems = [
            ConvexProblem(assembly, loss, np.ones(len(assembly.components)))
            for assembly, loss in zip(assemblies, losses, strict=True)
        ]
        self.designs = [one_hot(c, a.starts) for c, a in zip(validation_codes, assemblies, strict=True)]
        self.validation_losses = validation_losses
        self.tolerance = tolerance
        self.thetas: list[np.ndarray | None] = [None] * len(assemblies)
        self._factors: list = [None] * len(assemblies)

    def solutions(self) -> list[np.ndarray]:
        """Return the last optimum of every split; `evaluate` comes first."""
        return [theta for theta in self.thetas if theta is not None]

    def evaluate(self, name: str, strengths: list[np.ndarray]) -> Candidate:
        """Fit every split at the given strengths, one vector a split, and return the validation losses."""
        losses = []
        for b, problem in enumerate(self.problems):
            problem.set_strengths(strengths[b])
            solution, self._factors[b] = problem.solve(self.thetas[b], self.tolerance, self._factors[b])
            self.thetas[b] = solution.theta
            loss = self.validation_losses[b]
            losses.append(loss.value(self.designs[b] @ solution.theta) / loss.weights.sum())
        return Candidate(name, np.asarray(losses))
