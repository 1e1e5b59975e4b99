"""Choice of penalties and pairs by the mean loss on inner validation splits of the training rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zoo.layers.additive.fitting.assemble import Assembly, one_hot
from zoo.layers.additive.fitting.convex import ConvexProblem
from zoo.layers.additive.fitting.convex_losses import Loss

Split = tuple[np.ndarray, np.ndarray]  # training and validation rows


def inner_splits(loss: Loss, count: int, share: float, seed: int) -> list[Split]:
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
        validation_codes: Cells of the validation rows in every part, one list for each split.
        loss: Loss of all rows.
        splits: Training and validation rows of every split.
        tolerance: Largest KKT residual of a fit.
    """

    def __init__(
        self,
        assemblies: list[Assembly],
        validation_codes: list[list[np.ndarray]],
        loss: Loss,
        splits: list[Split],
        tolerance: float = 1e-5,
    ) -> None:
        self.parts = assemblies
        self.problems = [
            ConvexProblem(assembly, loss.take(train), np.ones(len(assembly.components)))
            for assembly, (train, _) in zip(assemblies, splits, strict=True)
        ]
        self.designs = [one_hot(c, a.starts) for c, a in zip(validation_codes, assemblies, strict=True)]
        self.splits = splits
        self.validation_losses = [loss.take(held_out) for _, held_out in splits]
        self.tolerance = tolerance
        self.state: list[np.ndarray] = []
        self._factors: list = [None] * len(assemblies)

    def train_scores(self, b: int) -> np.ndarray:
        """Return the scores of the training rows of split b at the last optimum, shape (n_b, c)."""
        return self.problems[b].design @ self.state[b]

    def mean_scores(self) -> np.ndarray:
        """Return the mean over the splits of the scores of all rows at the last optimum, shape (n, c)."""
        total: Any = 0.0
        for b, (train, held_out) in enumerate(self.splits):
            scores = np.empty((len(train) + len(held_out), self.state[b].shape[1]))
            scores[train] = self.train_scores(b)
            scores[held_out] = self.designs[b] @ self.state[b]
            total = total + scores
        return total / len(self.splits)

    def evaluate(self, name: str, strengths: list[np.ndarray]) -> Candidate:
        """Fit every split at the given strengths, one vector a split, and return the validation losses."""
        losses, state = [], []
        for b, problem in enumerate(self.problems):
            problem.set_strengths(strengths[b])
            start = self.state[b] if self.state else None
            solution, self._factors[b] = problem.solve(start, self.tolerance, self._factors[b])
            state.append(solution.theta)
            loss = self.validation_losses[b]
            losses.append(loss.value(self.designs[b] @ solution.theta) / loss.weights.sum())
        self.state = state
        return Candidate(name, np.asarray(losses))
