"""Fits in the space of the rows: the same optimum, traces and validation losses as over the cells of the tables."""

import numpy as np
import pytest
from scipy.optimize import minimize

from zoo.layers.additive.columns.bin_fitting import fit_bins
from zoo.layers.additive.fit import fit_additive
from zoo.layers.additive.fitting.assemble import Assembly, Part, PartList
from zoo.layers.additive.fitting.convex import ConvexProblem
from zoo.layers.additive.fitting.convex_losses import Loss
from zoo.layers.additive.fitting.fit_settings import AdditiveSettings
from zoo.layers.additive.fitting.inner_validation import SplitFits, inner_splits
from zoo.layers.additive.fitting.smoothness import TablePosterior
from zoo.layers.additive.kernel import part_kernels
from zoo.layers.additive.kernel.kernel_fits import KernelFits, kernel_optima
from zoo.layers.additive.kernel.kernel_newton import class_basis, posterior, solve_kernel
from zoo.layers.additive.kernel.kernel_posterior import KernelPosterior
from zoo.layers.additive.kernel.part_kernels import inverses_of, kernel_of

TASKS = [("binary", 2), ("multiclass", 3), ("regression", 2)]


def table(task, classes, n=60):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(n, 3)).round(1)
    x[generator.random(x.shape) < 0.05] = np.nan
    scores = np.nan_to_num(np.sin(2 * x)) @ generator.normal(size=(3, classes))
    y = scores[:, 0] if task == "regression" else (scores + generator.gumbel(size=scores.shape)).argmax(1)
    weights = generator.uniform(0.5, 2, n)
    weights[0] = 0.0
    return x, Loss(task, y, weights, classes)


def parts_of(x, weights, pairs=(), max_bins=9):
    bins = [fit_bins(f"x{j}", x[:, j], weights=weights, max_bins=max_bins) for j in range(x.shape[1])]
    codes = [axis.transform(x[:, j]).astype(np.int64) for j, axis in enumerate(bins)]
    parts = [Part((j,), (axis,), "main", axis.counts) for j, axis in enumerate(bins)]
    cells = list(codes)
    for a, b in pairs:
        cell = codes[a] * bins[b].size + codes[b]
        counts = np.bincount(cell, weights=weights, minlength=bins[a].size * bins[b].size)
        parts.append(Part((a, b), (bins[a], bins[b]), "pair", counts))
        cells.append(cell)
    return parts, cells


def strengths_of(parts):
    return np.array([{"slope": 2.0, "curvature": 0.01, "surface": 100.0}[c.name] for c in parts.components])


@pytest.mark.parametrize(("task", "classes"), TASKS)
def test_optimum_is_that_of_the_tables(task, classes):
    x, loss = table(task, classes)
    parts, codes = parts_of(x, loss.weights, [(0, 1), (1, 2)])
    assembly = Assembly(parts, codes)
    strengths = strengths_of(assembly)
    rows = np.arange(10, 60)
    whole, part = kernel_optima(assembly, codes, loss, strengths, [rows], 1e-9)
    solution, factors = ConvexProblem(assembly, loss, strengths).solve(whole, tolerance=1e-8)
    assert factors is None  # the start was the optimum, by the certificate of the tables
    assert np.array_equal(solution.theta, whole)
    other, _ = ConvexProblem(assembly, loss, strengths).solve(tolerance=1e-10)
    assert np.abs(other.theta - whole).max() < 1e-5
    fewer, _ = ConvexProblem(assembly, loss.take(rows), strengths, rows).solve(tolerance=1e-10)
    assert np.abs(assembly.design @ (fewer.theta - part)).max() < 1e-3


@pytest.mark.parametrize(("task", "classes"), TASKS)
def test_newton_equals_a_general_solver(task, classes):
    x, loss = table(task, classes, 25)
    generator = np.random.default_rng(1)
    root = generator.normal(size=(25, 40))
    kernel = root @ root.T / 10
    c = loss.classes

    def value(flat):
        alpha, b = flat[: 25 * c].reshape(25, c), flat[25 * c :]
        return loss.value(kernel @ alpha + b) + 0.5 * np.sum(alpha * (kernel @ alpha))

    solution = solve_kernel(kernel, loss, None, 1e-10)
    assert solution.residual <= 1e-10
    found = np.concatenate([solution.alpha.ravel(), solution.intercept])
    general = minimize(value, np.zeros_like(found), method="L-BFGS-B", options={"maxiter": 2000, "maxfun": 200_000})
    assert value(found) <= general.fun + 1e-10
    assert value(found) == pytest.approx(general.fun, rel=1e-4)
    far = solve_kernel(kernel, loss, 50 * generator.normal(size=(25, c)), 1e-10)
    assert np.abs(far.scores - solution.scores).max() < 1e-6
    assert np.abs(solution.alpha.sum(0)).max() < 1e-8  # the intercept is free


def test_class_basis_is_orthonormal_and_free_of_the_mean():
    basis = class_basis(5)
    assert np.abs(basis.T @ basis - np.identity(4)).max() < 1e-12
    assert np.abs(basis.sum(0)).max() < 1e-12


def test_separated_classes_converge():
    x = np.concatenate([np.zeros(20), np.ones(20), 2 * np.ones(20)])
    loss = Loss("multiclass", np.repeat([0, 1, 2], 20), np.ones(60), 3)
    parts, codes = parts_of(x[:, None], np.ones(60))
    kernel = kernel_of(inverses_of(PartList(parts), np.full(2, 1e-4)), codes)
    solution = solve_kernel(kernel, loss, None, 1e-9)
    assert solution.residual <= 1e-9
    assert (solution.scores.argmax(1) == loss.y).all()


@pytest.mark.parametrize(("task", "classes"), TASKS)
def test_traces_equal_those_of_the_inverse_hessian(task, classes):
    x, loss = table(task, classes)
    parts, codes = parts_of(x, loss.weights, max_bins=30)
    assembly = Assembly(parts, codes)
    strengths = strengths_of(assembly)
    forms = [component.form for component in assembly.components]
    theta, traces, free = KernelPosterior(assembly, loss).at(strengths, forms)
    optimum, _ = ConvexProblem(assembly, loss, strengths).solve(tolerance=1e-10)
    outputs = loss.mean_outputs(assembly.design @ optimum.theta)
    design = assembly.design.toarray()
    expected = np.zeros(len(forms))
    for curvature in loss.curvature(outputs).T:
        penalty = assembly.penalty(strengths).toarray()
        inverse = np.linalg.inv(design.T @ (curvature[:, None] * design) + penalty)
        for c, k in enumerate(assembly.owners):
            cells = slice(assembly.starts[k], assembly.starts[k + 1])
            expected[c] += np.trace(inverse[cells, cells] @ forms[c])
        if task == "regression":
            assert free == pytest.approx(len(theta) - np.trace(inverse @ penalty), abs=1e-6)
    assert traces == pytest.approx(expected, rel=1e-4)
    other = TablePosterior(assembly, loss).at(strengths, forms)
    assert traces == pytest.approx(other[1], rel=1e-4)
    assert free == pytest.approx(other[2], rel=1e-3)


def test_posterior_is_the_covariance_formula():
    generator = np.random.default_rng(0)
    root = generator.normal(size=(8, 8))
    kernel, w = root @ root.T, generator.uniform(0.1, 1, 8)
    inverse = np.linalg.inv(kernel + np.diag(1 / w))
    ones = np.ones(8)
    expected = inverse - np.outer(inverse @ ones, ones @ inverse) / (ones @ inverse @ ones)
    assert np.abs(posterior(kernel, w) - expected).max() < 1e-12


@pytest.mark.parametrize(("task", "classes"), TASKS)
def test_split_fits_agree(task, classes):
    x, loss = table(task, classes)
    splits = inner_splits(loss, 3, 0.2, 0)
    pairs = [[(0, 1), (0, 2)], [(0, 1)], [(0, 1), (1, 2)]]  # one pair is shared, the others belong to single splits
    made = parts_of(x, loss.weights, [(0, 1), (0, 2), (1, 2)])
    places = {part.columns: k for k, part in enumerate(made[0])}
    lists = [[made[0][places[key]] for key in [(0,), (1,), (2,), *chosen]] for chosen in pairs]
    codes = [[made[1][places[part.columns]] for part in parts] for parts in lists]
    kernels = KernelFits([PartList(parts) for parts in lists], codes, loss, splits, 1e-8)
    assemblies = [
        Assembly(parts, [code[train] for code in c]) for parts, c, (train, _) in zip(lists, codes, splits, strict=True)
    ]
    held_out = [[code[rows] for code in c] for c, (_, rows) in zip(codes, splits, strict=True)]
    tables = SplitFits(assemblies, held_out, loss, splits, 1e-9)
    for factor in (1.0, 0.1):  # the second one starts at the first
        strengths = [factor * strengths_of(parts) for parts in kernels.parts]
        first, second = kernels.evaluate("a", strengths), tables.evaluate("a", strengths)
        assert first.losses == pytest.approx(second.losses, rel=1e-5)
    assert np.abs(kernels.mean_scores() - tables.mean_scores()).max() < 1e-4
    for b in range(3):
        assert np.abs(kernels.train_scores(b) - tables.train_scores(b)).max() < 1e-4


@pytest.mark.parametrize(("task", "classes"), TASKS)
def test_whole_fit_is_the_same_by_either_way(task, classes, monkeypatch):
    x, loss = table(task, classes, 120)
    cells = {name: x[:, j] for j, name in enumerate("abc")}
    settings = AdditiveSettings(inner_splits=2, max_bins=30)
    by_rows = fit_additive(cells, loss.y, task=task, weights=loss.weights, settings=settings)
    again = fit_additive(cells, loss.y, task=task, weights=loss.weights, settings=settings)
    assert all(np.array_equal(a.table, b.table) for a, b in zip(by_rows.terms, again.terms, strict=True))
    monkeypatch.setitem(part_kernels.KERNEL_ROWS, task, 0)
    by_cells = fit_additive(cells, loss.y, task=task, weights=loss.weights, settings=settings)
    assert by_rows.chosen == by_cells.chosen
    assert by_rows.kkt <= settings.tolerance
    assert np.abs(by_rows.scores(cells) - by_cells.scores(cells)).max() < 0.01 * np.ptp(by_cells.scores(cells))
    for first, second in zip(by_rows.terms, by_cells.terms, strict=True):
        assert np.abs(first.bands - second.bands).max() < 0.02 * max(second.bands.max(), 1e-3)
