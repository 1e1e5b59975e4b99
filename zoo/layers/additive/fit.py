"""Fit of an additive model: bins, smoothness, pairs and penalties by validation, one exact convex fit, pure tables."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from zoo.layers.additive.columns.bin_fitting import fit_bins
from zoo.layers.additive.columns.cuts import coarsen
from zoo.layers.additive.fit_result import AdditiveFit
from zoo.layers.additive.fitting.assemble import Assembly
from zoo.layers.additive.fitting.choose_settings import choose
from zoo.layers.additive.fitting.convex import ConvexProblem
from zoo.layers.additive.fitting.convex_losses import Loss
from zoo.layers.additive.fitting.fit_settings import AdditiveSettings, largest_bins, pair_bins_of
from zoo.layers.additive.fitting.inner_validation import inner_splits
from zoo.layers.additive.fitting.tabulate import calibrate_intercept, tabulate
from zoo.layers.additive.fitting.training_rows import Frame, prepare_target, prepare_weights
from zoo.layers.additive.kernel.kernel_fits import kernel_optima
from zoo.layers.additive.kernel.part_kernels import prefers_kernel

CERTIFICATE = 1e-5  # largest KKT residual of a fit that counts as converged


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
    if settings.monotone and task == "multiclass":
        raise ValueError("monotone columns need a regression or two classes; the target has more than two classes")
    target, classes, mean, scale = prepare_target(y, task, weights)
    n = len(target)
    if n < 2:
        raise ValueError(f"the table has {n} sample; expected 2 or more")
    for name, column in cells.items():
        if len(column) != n:
            raise ValueError(f"column {name!r} has {len(column)} rows and the target {n}; expected equal lengths")
    row_weights, fit_weights = prepare_weights(weights, target, settings.balanced and task != "regression")
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
        if axis.kind == "category" and name in settings.monotone:
            raise ValueError(f"column {name!r} is a category and cannot be monotone; give its order in orders")
    largest = largest_bins([axis.size for axis in bins])
    bins = [coarsen(axis, largest)[0] if axis.is_ordered else axis for axis in bins]
    codes = [axis.transform(cells[axis.name]) for axis in bins]
    loss = Loss(task, target, fit_weights, len(classes))
    generator = np.random.default_rng(settings.seed)
    path_rows = np.sort(generator.permutation(n)[: settings.path_rows]) if n > settings.path_rows else np.arange(n)
    pair_bins = settings.pair_bins or pair_bins_of(len(bins), settings.max_pairs, n)
    frame = Frame(bins, codes, loss, path_rows, min(settings.path_bins, largest), pair_bins)
    choice = choose(frame, settings)
    everything = np.arange(n)
    parts = frame.mains(coarse=False) + frame.jumps(choice.jumps) + frame.pairs(choice.pairs)
    assembly = Assembly(parts, frame.all_codes(parts, everything))
    strengths = choice.strengths_of(assembly)
    splits = inner_splits(loss.take(path_rows), settings.inner_splits, settings.validation_share, settings.seed)
    subsets = [path_rows[train] for train, _ in splits]
    starts: list[np.ndarray | None] = [None] * (1 + len(subsets))
    if prefers_kernel(assembly, loss):
        codes = frame.all_codes(parts, everything)
        starts = [*kernel_optima(assembly, codes, loss, strengths, subsets, settings.tolerance / 10)]
    solution, factors = ConvexProblem(assembly, loss, strengths).solve(starts[0], settings.tolerance)
    if solution.kkt > CERTIFICATE:
        warnings.warn(
            f"the convex fit stopped at a KKT residual of {solution.kkt:.1e}; expected at most {CERTIFICATE:g}: "
            "the tables are not the optimum; lower max_pairs or max_bins, or drop columns that repeat each other",
            ConvergenceWarning,
            stacklevel=2,
        )
    resamples = []
    for rows, start in zip(subsets, starts[1:], strict=True):
        if start is None:
            problem = ConvexProblem(assembly, loss.take(rows), strengths, rows)
            start = problem.solve(solution.theta, 1e-4, factors)[0].theta
        resamples.append(start)
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
