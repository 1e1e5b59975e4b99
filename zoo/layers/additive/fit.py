"""Fit of an additive model: bins, smoothness, pairs and penalties by validation, one exact convex fit, pure tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np

from zoo.layers.additive.assemble import Assembly
from zoo.layers.additive.bins import coarsen, fit_bins
from zoo.layers.additive.convex import JOINT_CELLS, ConvexProblem
from zoo.layers.additive.frame import Frame, prepare_target
from zoo.layers.additive.losses import Loss
from zoo.layers.additive.path import choose
from zoo.layers.additive.selection import inner_splits
from zoo.layers.additive.tabulate import calibrate_intercept, tabulate
from zoo.layers.additive.terms import AdditiveTables, Term

PAIR_CELLS = 12_000  # of all pairs together


@dataclass(frozen=True)
class AdditiveSettings:
    """Settings of `fit_additive`.

    Args:
        max_bins: Largest number of bins of a main; fewer where the mains have over 3000 cells together.
        rare: Categories with fewer training rows than this share a bin.
        path_bins: Bins of a main while penalties and pairs are chosen.
        path_rows: Rows on which penalties and pairs are chosen; the final fit uses all.
        pair_bins: Bins of a column within a pair; 6 to 16, fewer for many pairs, when None.
        max_pairs: Largest number of pairs; three times the number of columns when None, 0 for mains only.
        pairs: Pairs of column names that may be used; all when None.
        inner_splits: Number of inner validation splits.
        validation_share: Share of the rows in the validation part of an inner split.
        factors: Common factors of the penalties of the mains that may be tried, from 1 towards lower loss.
        pair_strengths: Penalties of the pairs that may be tried, from 1000 towards lower loss.
        jump_z: z score above which the bins of an ordered column are tested for jumps.
        balanced: Weigh the classes equally in the fit; the intercept is corrected to the base rate afterwards.
        monotone: Direction (1 or -1) by column; a monotone column takes no part in pairs.
        tolerance: Largest KKT residual of the final fit.
        seed: Seed of the inner splits.
    """

    max_bins: int = 256
    rare: int = 10
    path_bins: int = 32
    path_rows: int = 50_000
    pair_bins: int | None = None
    max_pairs: int | None = None
    pairs: tuple[tuple[str, str], ...] | None = None
    inner_splits: int = 6
    validation_share: float = 0.15
    factors: tuple[float, ...] = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
    pair_strengths: tuple[float, ...] = (10_000.0, 3000.0, 1000.0, 300.0, 100.0, 30.0)
    jump_z: float = 2.0
    balanced: bool = False
    monotone: Mapping[str, int] = field(default_factory=dict)
    tolerance: float = 1e-8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.inner_splits < 2:
            raise ValueError(f"inner_splits is {self.inner_splits}; expected 2 or more, which give a standard error")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"validation_share is {self.validation_share}; expected a number between 0 and 1")

    def check_columns(self, names: Sequence[str]) -> None:
        """Raise a ValueError for a column of ``monotone`` or ``pairs`` that the table does not have."""
        for name in [*self.monotone, *[name for pair in self.pairs or () for name in pair]]:
            if name not in names:
                near = get_close_matches(name, names, 1) or list(names)
                raise ValueError(f"the settings name column {name!r}, which is not in the table; nearest: {near[0]!r}")


@dataclass(frozen=True)
class AdditiveFit:
    """Result of `fit_additive`.

    Args:
        task: "binary", "multiclass" or "regression".
        terms: Pure, centered terms with their bins, tables, counts and bands; the tables are in logits or in the
            unit of the target.
        intercept: Score of an average row, shape (c,).
        classes: Class labels in the order of the scores; the binary score is the logit of the second one.
        kkt: KKT residual of the convex fit, the certificate of its optimum.
        objective: Loss plus penalty of an average row.
        strengths: Strength of every penalty component by part.
        validation: Mean validation loss and its standard error by candidate, in the order in which they were tried.
        chosen: Name of the candidates that were chosen.
    """

    task: str
    terms: tuple[Term, ...]
    intercept: np.ndarray
    classes: list
    kkt: float
    objective: float
    strengths: dict[str, float]
    validation: list[dict]
    chosen: str

    @property
    def tables(self) -> AdditiveTables:
        """The terms as a torch module."""
        return AdditiveTables(self.terms, self.intercept)

    def scores(self, cells: Mapping[str, Sequence | np.ndarray]) -> np.ndarray:
        """Return the scores of raw rows, shape (n, c)."""
        total = self.intercept + np.zeros((len(next(iter(cells.values()))), 1))
        for term in self.terms:
            total += term.table.reshape(-1, len(self.intercept))[term.codes(cells)]
        return total


def fit_additive(
    cells: Mapping[str, Sequence | np.ndarray],
    y: Sequence | np.ndarray,
    *,
    task: str,
    weights: np.ndarray | None = None,
    kinds: Mapping[str, str] | None = None,
    orders: Mapping[str, Sequence[str]] | None = None,
    settings: AdditiveSettings | None = None,
) -> AdditiveFit:
    """Fit an additive model to raw columns.

    Args:
        cells: Columns by name, each of length n; numbers, text, None and NaN.
        y: Target, length n.
        task: "binary", "multiclass" or "regression".
        weights: Row weights, shape (n,).
        kinds: Kind by column where it is not to be inferred.
        orders: Labels of ordinal columns, lowest first.
        settings: Bins, penalties and pairs that are tried.

    Example:
        >>> x = np.linspace(0, 1, 200)
        >>> fit = fit_additive({"x": x}, np.sin(3 * x), task="regression")
        >>> [term.name for term in fit.terms], bool(np.abs(fit.scores({"x": x})[:, 0] - np.sin(3 * x)).max() < 0.05)
        (['x'], True)
    """
    settings = settings or AdditiveSettings()
    settings.check_columns(list(cells))
    target, classes, mean, scale = prepare_target(y, task, weights)
    n = len(target)
    if n < 2:
        raise ValueError(f"the table has {n} sample; expected 2 or more")
    for name, column in cells.items():
        if len(column) != n:
            raise ValueError(f"column {name!r} has {len(column)} rows and the target {n}; expected equal lengths")
    row_weights = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    if row_weights.shape != (n,) or not (np.isfinite(row_weights).all() and (row_weights >= 0).all()):
        raise ValueError(f"weights have shape {row_weights.shape}; expected {n} finite numbers of 0 or more")
    if settings.balanced and task != "regression":
        share = np.bincount(target, weights=row_weights) / row_weights.sum()
        fit_weights = row_weights / share[target] / len(share)
    else:
        fit_weights = row_weights
    bins = []
    for name, column in cells.items():
        axis = fit_bins(
            name,
            column,
            kind=(kinds or {}).get(name),
            order=(orders or {}).get(name),
            weights=row_weights,
            max_bins=settings.max_bins,
            rare=min(settings.rare, max(1, n // 50)),
        )
        bins.append(axis)
    largest = _largest_bins([axis.size for axis in bins])
    bins = [coarsen(axis, largest)[0] if axis.is_ordered else axis for axis in bins]
    codes = [axis.transform(cells[axis.name]) for axis in bins]
    loss = Loss(task, target, fit_weights, len(classes))
    generator = np.random.default_rng(settings.seed)
    path_rows = np.sort(generator.permutation(n)[: settings.path_rows]) if n > settings.path_rows else np.arange(n)
    pair_bins = settings.pair_bins or _pair_bins(len(bins), settings.max_pairs)
    frame = Frame(bins, codes, loss, path_rows, min(settings.path_bins, largest), pair_bins)
    choice = choose(frame, settings)
    everything = np.arange(n)
    parts = frame.mains(coarse=False) + frame.jumps(choice.jumps) + frame.pairs(choice.pairs)
    assembly = Assembly(parts, frame.all_codes(parts, everything))
    strengths = choice.strengths_of(assembly)
    solution, factors = ConvexProblem(assembly, loss, strengths).solve(None, settings.tolerance)
    resamples = []
    splits = inner_splits(loss.take(path_rows), settings.inner_splits, settings.validation_share, settings.seed)
    for train, _ in splits:
        rows = path_rows[train]
        problem = ConvexProblem(assembly, loss.take(rows), strengths, rows)
        resamples.append(problem.solve(solution.theta, 1e-4, factors)[0].theta)
    shrink = np.sqrt(len(path_rows) / n * (1 - settings.validation_share) / settings.validation_share)
    terms, intercept = tabulate(assembly, solution.theta, resamples, shrink, scale, row_weights, frame)
    terms, intercept = calibrate_intercept(
        terms, intercept, frame, Loss(task, target, row_weights, len(classes)), settings, scale
    )
    names = [
        ".".join([role, *[bins[j].name for j in columns], name]) for role, columns, name in assembly.component_keys()
    ]
    return AdditiveFit(
        task=task,
        terms=tuple(terms),
        intercept=intercept + mean,
        classes=classes,
        kkt=solution.kkt,
        objective=solution.objective,
        strengths=dict(zip(names, strengths.tolist(), strict=True)),
        validation=choice.curve,
        chosen=choice.name,
    )


def _largest_bins(sizes: list[int]) -> int:
    """Return the bins a column may have so that all mains fit one dense block, between 8 and the largest."""
    for limit in sorted({*sizes, *range(8, 257, 8)}, reverse=True):
        if sum(min(size, limit + 2) for size in sizes) <= JOINT_CELLS:
            return limit
    return 8


def _pair_bins(columns: int, max_pairs: int | None) -> int:
    count = min(columns * (columns - 1) // 2, 3 * columns if max_pairs is None else max_pairs)
    return int(np.clip((PAIR_CELLS / max(count, 1)) ** 0.5 - 2, 6, 16))
