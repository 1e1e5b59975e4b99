"""Convex fit: optimum against other solvers, certificate, uniqueness, equal bits."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from zoo.layers.additive.columns.bin_fitting import fit_bins
from zoo.layers.additive.fitting.assemble import Assembly, Part
from zoo.layers.additive.fitting.convex import ConvexProblem
from zoo.layers.additive.fitting.convex_losses import Loss


def table(n=300, columns=3, classes=2, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, columns)).round(1)
    x[generator.random(x.shape) < 0.05] = np.nan
    scores = np.nan_to_num(np.sin(2 * x)) @ generator.normal(size=(columns, classes))
    y = (scores + generator.gumbel(size=scores.shape)).argmax(1)
    weights = generator.uniform(0.5, 2, n)
    return x, y, weights


def assemble(x, weights, pairs=(), max_bins=12):
    bins = [fit_bins(f"x{j}", x[:, j], weights=weights, max_bins=max_bins) for j in range(x.shape[1])]
    codes = [axis.transform(x[:, j]).astype(np.int64) for j, axis in enumerate(bins)]
    parts = [Part((j,), (axis,), "main", axis.counts) for j, axis in enumerate(bins)]
    cells = list(codes)
    for a, b in pairs:
        cell = codes[a] * bins[b].size + codes[b]
        counts = np.bincount(cell, weights=weights, minlength=bins[a].size * bins[b].size)
        parts.append(Part((a, b), (bins[a], bins[b]), "pair", counts))
        cells.append(cell)
    return Assembly(parts, cells)


def strengths_of(assembly):
    return np.array([{"slope": 2.0, "curvature": 0.01, "surface": 100.0}[c.name] for c in assembly.components])


def dense_objective(assembly, strengths, y, weights, task, classes):
    """The objective from its definition: loops over parts, dense matrices, no shared code for the loss."""
    rows = assembly.design.toarray()
    penalty = np.zeros((rows.shape[1], rows.shape[1]))
    position = 0
    for k, part in enumerate(assembly.parts):
        low, high = assembly.starts[k], assembly.starts[k + 1]
        block = part.fixed.toarray()
        for component in part.components:
            block = block + strengths[position] * component.matrix.toarray()
            position += 1
        penalty[low:high, low:high] = block
    c = classes if task == "multiclass" else 1

    def value(flat):
        theta = flat.reshape(-1, c)
        scores = rows @ theta
        if task == "regression":
            loss = 0.5 * (scores[:, 0] - y) ** 2
        elif task == "binary":
            loss = np.log1p(np.exp(-np.abs(scores[:, 0]))) + np.maximum(scores[:, 0], 0) - y * scores[:, 0]
        else:
            loss = np.log(np.exp(scores).sum(1)) - scores[np.arange(len(y)), y]
        return weights @ loss + 0.5 * np.einsum("ik,ij,jk->", theta, penalty, theta)

    return value, rows.shape[1] * c


@pytest.mark.parametrize(("task", "classes"), [("binary", 2), ("multiclass", 3), ("regression", 2)])
@pytest.mark.parametrize("pairs", [(), ((0, 1),)])
def test_optimum_equals_a_general_solver(task, classes, pairs):
    x, y, weights = table(n=60, columns=2, classes=classes)
    assembly = assemble(x, weights, pairs, max_bins=4)
    strengths = strengths_of(assembly)
    solution, _ = ConvexProblem(assembly, Loss(task, y, weights, classes), strengths).solve(tolerance=1e-10)
    value, size = dense_objective(assembly, strengths, y, weights, task, classes)
    assert value(solution.theta.ravel()) / weights.sum() == pytest.approx(solution.objective, rel=1e-10)
    generator = np.random.default_rng(3)
    step = 1e-4
    for _ in range(20):  # central differences in random directions vanish, second differences are positive
        direction = generator.normal(size=size)
        high = value(solution.theta.ravel() + step * direction)
        low = value(solution.theta.ravel() - step * direction)
        middle = value(solution.theta.ravel())
        assert high > middle < low
        assert abs(high - low) < 0.05 * (high + low - 2 * middle)
    general = minimize(value, np.zeros(size), method="L-BFGS-B", options={"maxfun": 30 * size, "maxiter": 30})
    assert general.fun >= middle - 1e-9 * abs(middle)


@pytest.mark.parametrize(("task", "classes"), [("binary", 2), ("multiclass", 4), ("regression", 2)])
def test_certificate(task, classes):
    x, y, weights = table(classes=classes)
    assembly = assemble(x, weights, ((0, 1), (1, 2)))
    solution, _ = ConvexProblem(assembly, Loss(task, y, weights, classes), strengths_of(assembly)).solve(tolerance=1e-9)
    assert solution.kkt <= 1e-9
    if task == "multiclass":
        assert np.abs(solution.theta.sum(1)).max() < 1e-8  # the symmetric form


def test_dense_block_of_the_hessian_equals_its_definition():
    x, y, weights = table(n=80)
    assembly = assemble(x, weights, ((0, 1),))
    loss = Loss("binary", y, weights)
    problem = ConvexProblem(assembly, loss, strengths_of(assembly))
    outputs = loss.mean_outputs(np.random.default_rng(0).normal(size=(80, 1)))
    block = problem.blocks[0]
    rows = assembly.design[:, block].toarray()
    penalty = assembly.penalty(strengths_of(assembly))[block][:, block].toarray()
    expected = rows.T @ (loss.curvature(outputs) * rows) + penalty
    assert np.abs(problem.hessian(outputs, 0) - expected).max() < 1e-12


def test_two_starts_agree():
    x, y, weights = table()
    assembly = assemble(x, weights, ((0, 1),))
    problem = ConvexProblem(assembly, Loss("binary", y, weights), strengths_of(assembly))
    first, _ = problem.solve(tolerance=1e-10)
    start = np.random.default_rng(1).normal(size=first.theta.shape)
    second, _ = problem.solve(start, tolerance=1e-10)
    assert np.abs(assembly.design @ (first.theta - second.theta)).max() < 1e-6


def test_equal_bits():
    x, y, weights = table(classes=3)
    runs = []
    for _ in range(2):
        assembly = assemble(x, weights, ((0, 2),))
        problem = ConvexProblem(assembly, Loss("multiclass", y, weights, 3), strengths_of(assembly))
        runs.append(problem.solve()[0].theta)
    assert np.array_equal(*runs)


def test_two_bins_a_column_equal_logistic_regression():
    generator = np.random.default_rng(0)
    x = generator.integers(0, 2, (400, 5))
    y = (generator.random(400) < 1 / (1 + np.exp(-(x @ [1.0, -2.0, 0.5, 0.0, 3.0] - 1)))).astype(int)
    cells = np.where(x == 1, "yes", "no")
    bins = [fit_bins(f"x{j}", cells[:, j]) for j in range(5)]
    codes = [axis.transform(cells[:, j]).astype(np.int64) for j, axis in enumerate(bins)]
    parts = [Part((j,), (axis,), "main", axis.counts) for j, axis in enumerate(bins)]
    assembly = Assembly(parts, codes)
    tiny = np.full(5, 1e-7)
    solution, _ = ConvexProblem(assembly, Loss("binary", y, np.ones(400)), tiny).solve(tolerance=1e-11)
    reference = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(x, y)
    ours = (assembly.design @ solution.theta)[:, 0]
    assert np.abs(ours - reference.decision_function(x)).max() < 1e-4


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_mean_prediction_equals_base_rate(task):
    x, y, weights = table()
    assembly = assemble(x, weights)
    loss = Loss(task, y, weights)
    solution, _ = ConvexProblem(assembly, loss, strengths_of(assembly)).solve()
    outputs = loss.mean_outputs(assembly.design @ solution.theta)[:, 0]
    assert weights @ outputs / weights.sum() == pytest.approx(weights @ y / weights.sum(), abs=1e-8)


def test_strong_slope_gives_a_constant_and_strong_curvature_a_line():
    x = np.linspace(0, 1, 200)[:, None]
    y = np.sin(6 * x[:, 0])
    assembly = assemble(x, np.ones(200), max_bins=20)
    loss = Loss("regression", y, np.ones(200))
    constant, _ = ConvexProblem(assembly, loss, np.array([1e6, 0.0])).solve(tolerance=1e-7)
    assert np.ptp(assembly.design @ constant.theta) < 1e-3
    line, _ = ConvexProblem(assembly, loss, np.array([0.0, 1e3])).solve(tolerance=1e-7)
    values = line.theta[1:-2, 0]
    positions = assembly.parts[0].bins[0].positions
    assert np.abs(values - np.polyval(np.polyfit(positions, values, 1), positions)).max() < 1e-2


def test_weights_equal_repeated_rows():
    x, y, _ = table(n=100)
    twice = np.concatenate([np.arange(100), np.arange(50)])
    weights = np.bincount(twice, minlength=100).astype(float)
    weighted, repeated = assemble(x, weights), assemble(x[twice], np.ones(150))
    strengths = strengths_of(weighted)
    a, _ = ConvexProblem(weighted, Loss("binary", y, weights), strengths).solve()
    b, _ = ConvexProblem(repeated, Loss("binary", y[twice], np.ones(150)), strengths).solve()
    assert np.abs(a.theta - b.theta).max() < 1e-6


def test_mains_one_by_one_reach_the_same_optimum():
    x, y, weights = table(columns=6)
    assembly = assemble(x, weights)
    loss, strengths = Loss("binary", y, weights), strengths_of(assembly)
    together, _ = ConvexProblem(assembly, loss, strengths).solve(tolerance=1e-9)
    apart, _ = ConvexProblem(assembly, loss, strengths, joint_cells=10).solve(tolerance=1e-9)
    assert apart.kkt <= 1e-9
    assert np.abs(apart.theta - together.theta).max() < 1e-5
