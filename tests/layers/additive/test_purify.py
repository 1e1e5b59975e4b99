"""Purification against alternating sweeps; terms, contributions and predictions after it."""

import numpy as np
import pytest

from zoo.layers.additive.columns.bin_fitting import fit_bins
from zoo.layers.additive.columns.cuts import coarsen
from zoo.layers.additive.constraints import monotone_table
from zoo.layers.additive.purify import purify_pair
from zoo.layers.additive.terms import Term, purify_terms


def sweeps(table, weights, rounds=500):
    """Alternating removal of row and column means, from the definition."""
    pure = table.copy()
    rows = np.zeros((table.shape[0], table.shape[2]))
    columns = np.zeros((table.shape[1], table.shape[2]))
    for _ in range(rounds):
        for i in range(table.shape[0]):
            if weights[i].sum() > 0:
                mean = weights[i] @ pure[i] / weights[i].sum()
                pure[i] -= mean
                rows[i] += mean
        for j in range(table.shape[1]):
            if weights[:, j].sum() > 0:
                mean = weights[:, j] @ pure[:, j] / weights[:, j].sum()
                pure[:, j] -= mean
                columns[j] += mean
    return pure, rows, columns


@pytest.mark.parametrize("seed", range(4))
def test_equals_alternating_sweeps(seed):
    generator = np.random.default_rng(seed)
    weights = generator.integers(0, 4, (12, 7)).astype(float)
    weights[3] = 0
    weights[:, 5] = 0
    table = generator.normal(size=(12, 7, 2))
    pure, rows, columns, constant = purify_pair(table, weights)
    assert np.abs(pure + rows[:, None] + columns[None] + constant - table).max() < 1e-12
    assert np.abs(np.einsum("ij,ijc->ic", weights, pure)).max() < 1e-10
    assert np.abs(np.einsum("ij,ijc->jc", weights, pure)).max() < 1e-10
    assert np.abs(weights.sum(1) @ rows).max() < 1e-10
    assert np.abs(weights.sum(0) @ columns).max() < 1e-10
    filled = weights > 0
    assert np.abs(pure - sweeps(table, weights)[0])[filled].max() < 1e-8


def test_second_purification_changes_nothing():
    generator = np.random.default_rng(0)
    weights = generator.integers(0, 9, (5, 6)).astype(float)
    pure = purify_pair(generator.normal(size=(5, 6, 1)), weights)[0]
    again, rows, columns, constant = purify_pair(pure, weights)
    assert max(np.abs(again - pure).max(), np.abs(rows).max(), np.abs(columns).max(), np.abs(constant).max()) < 1e-12


def model(seed=0, classes=1):
    generator = np.random.default_rng(seed)
    x = {
        "a": generator.normal(size=400),
        "b": generator.choice(["u", "v", "w"], 400),
        "c": generator.normal(size=400).round(),
    }
    bins = {name: fit_bins(name, values, max_bins=20) for name, values in x.items()}
    coarse = {name: coarsen(axis, 4)[0] for name, axis in bins.items()}
    terms = []
    for axes in [(bins["a"],), (bins["b"],), (coarse["a"], coarse["b"]), (coarse["a"], coarse["c"])]:
        shape = tuple(axis.size for axis in axes)
        term = Term(axes, generator.normal(size=(*shape, classes)), np.zeros(shape))
        counts = np.bincount(term.codes(x), minlength=int(np.prod(shape))).reshape(shape).astype(float)
        terms.append(Term(axes, term.table, counts))
    return x, terms, generator.normal(size=classes)


def loop_score(terms, intercept, row):
    score = np.array(intercept, dtype=float)
    for term in terms:
        place = tuple(int(axis.transform([row[axis.name]])[0]) for axis in term.bins)
        score = score + term.table[place]
    return score


def look_up(terms, x):
    """What every term adds to the scores of every row, ``(k, n, c)``."""
    return np.stack([term.table.reshape(-1, term.table.shape[-1])[term.codes(x)] for term in terms])


@pytest.mark.parametrize("classes", [1, 3])
def test_predictions_do_not_change_and_contributions_add_up(classes):
    x, terms, intercept = model(classes=classes)
    x["a"][:5] = np.nan
    x["b"][5:9] = "unseen"
    pure, base = purify_terms(terms, intercept)
    assert [term.name for term in pure] == ["a", "b", "c", "a x b", "a x c"]  # the main of c is created
    scores = look_up(pure, x).sum(0) + base
    assert np.abs(scores - (look_up(terms, x).sum(0) + intercept)).max() < 1e-12
    for i in range(12):
        row = {name: values[i] for name, values in x.items()}
        assert np.abs(loop_score(terms, intercept, row) - scores[i]).max() < 1e-12
    for term in pure:
        if len(term.bins) == 1:
            assert np.abs(term.counts @ term.table).max() < 1e-10
    assert all(term.table.dtype == np.float64 for term in pure)


def test_importance_is_the_mean_over_rows():
    x, terms, _ = model()
    mean, spread = terms[2].importance()
    values = terms[2].table.reshape(-1, 1)[terms[2].codes(x)]
    assert mean == pytest.approx(np.abs(values).mean(0))
    assert spread == pytest.approx(values.std(0))


def test_missing_column_is_named():
    _, terms, _ = model()
    with pytest.raises(ValueError, match="column 'a' is missing; the table has b"):
        terms[0].codes({"b": ["u"]})


def test_cuts_of_a_pair_join_the_main():
    x, terms, intercept = model()
    a = x["a"]
    fine = fit_bins("a", a, max_bins=9)
    other = Term((fit_bins("a", a, max_bins=3),), np.arange(5.0)[:, None] ** 2, np.zeros(5))
    other = Term(other.bins, other.table, np.bincount(other.codes(x), minlength=5).astype(float))
    axes = (fine, terms[1].bins[0])
    shape = tuple(axis.size for axis in axes)
    pair = Term(axes, np.random.default_rng(5).normal(size=(*shape, 1)), np.zeros(shape))
    pair = Term(axes, pair.table, np.bincount(pair.codes(x), minlength=pair.counts.size).reshape(shape).astype(float))
    pure, base = purify_terms([other, pair], intercept)
    after, before = look_up(pure, x).sum(0) + base, look_up([other, pair], x).sum(0) + intercept
    assert np.abs(after - before).max() < 1e-12
    assert set(fine.cuts) <= set(pure[0].bins[0].cuts)
    assert np.abs(pure[0].counts @ pure[0].table).max() < 1e-10


def closest_monotone(values, weights, direction):
    """Brute force: the minimax formula of isotonic regression."""
    signed = values * direction
    size = len(values)

    def mean(low, high):
        return np.average(signed[low : high + 1], weights=weights[low : high + 1])

    fitted = [max(min(mean(low, high) for high in range(i, size)) for low in range(i + 1)) for i in range(size)]
    return direction * np.array(fitted)


@pytest.mark.parametrize("direction", [1, -1])
def test_monotone_edit_equals_the_minimax_formula(direction):
    generator = np.random.default_rng(0)
    table = generator.normal(size=(14, 1))
    counts = generator.integers(1, 9, 14).astype(float)
    edited = monotone_table(table, counts, direction)
    assert edited[[0, -1]].tolist() == table[[0, -1]].tolist()
    assert np.abs(edited[1:-1, 0] - closest_monotone(table[1:-1, 0], counts[1:-1], direction)).max() < 1e-12
    assert (direction * np.diff(edited[1:-1, 0]) >= 0).all()


def test_monotone_refuses_classes_and_directions():
    with pytest.raises(ValueError, match="one score a bin"):
        monotone_table(np.zeros((5, 3)), np.ones(5), 1)
    with pytest.raises(ValueError, match="expected 1"):
        monotone_table(np.zeros((5, 1)), np.ones(5), 2)
