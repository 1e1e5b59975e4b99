"""Bins: edges, reserved bins, equal cells of other types, plain dictionaries."""

import json

import numpy as np
import pytest

from zoo.layers.additive.columns.bin_fitting import fit_bins
from zoo.layers.additive.columns.bins import ColumnBins
from zoo.layers.additive.columns.cuts import choose_cuts, coarsen


def naive_bin(bins: ColumnBins, x) -> int:
    if x is None or x != x:
        return 0
    try:
        number = float(x)
    except ValueError:
        return bins.size - 1
    return 1 + sum(cut <= number for cut in bins.cuts)


def test_numbers_equal_a_loop_over_cuts():
    values = np.random.default_rng(0).normal(size=500).round(1)
    bins = fit_bins("x", values, max_bins=16)
    cells = [*values.tolist(), *bins.cuts.tolist(), -1e9, 1e9, float("inf"), None, float("nan"), "0.3", "abc"]
    assert bins.transform(np.array(cells, dtype=object)).tolist() == [naive_bin(bins, x) for x in cells]


def test_few_distinct_values_have_a_bin_each():
    values = np.repeat([0.0, 1.0, 7688.0, 99999.0], [1000, 3, 1, 1])
    bins = fit_bins("gain", values)
    assert bins.cuts.tolist() == [0.5, 3844.5, 53843.5]
    assert bins.counts.tolist() == [0, 1000, 3, 1, 1, 0]


def test_many_distinct_values_keep_quantiles_of_rows_and_of_values():
    values = np.concatenate([np.zeros(9000), np.arange(1, 1001)])
    cuts = choose_cuts(values, np.ones(len(values)), 64)
    assert len(cuts) <= 64
    assert (cuts > 500).sum() > 10  # the zeros do not swallow the quantiles


def test_cut_between_neighboring_floats_puts_equality_on_the_upper_side():
    low = 1.0
    high = np.nextafter(low, 2)
    bins = fit_bins("x", [low, high], kind="number")
    assert bins.transform([low, high]).tolist() == [1, 2]


def test_smallest_bin():
    cuts = choose_cuts(np.arange(103.0), np.ones(103), 256, min_rows=10)
    counts = np.bincount(np.searchsorted(cuts, np.arange(103.0), side="right"))
    assert counts.min() >= 10
    assert len(counts) == 10


@pytest.mark.parametrize("same", [[1, 0, 1], [1.0, 0.0, 1.0], ["1", "0", "1"], np.array([1, 0, 1])])
def test_integers_floats_and_text_are_one_label(same):
    bins = fit_bins("x", ["0", "1", "1"], kind="category", rare=1)
    assert bins.transform(same).tolist() == [1, 2, 1]


def test_boolean_with_missing_cells():
    bins = fit_bins("x", ["yes", "no", None, "yes", "?"])
    assert bins.kind == "boolean"
    assert bins.labels == (("no",), ("yes",))
    assert bins.transform(["no", "yes", float("nan"), "maybe"]).tolist() == [1, 2, 0, 3]


def test_rare_categories_share_a_bin_and_unseen_ones_are_unknown():
    cells = ["a"] * 20 + ["b"] * 30 + ["c"] * 2 + ["d"]
    bins = fit_bins("x", cells, rare=10)
    assert bins.labels == (("b",), ("a",), ("c", "d"))
    assert bins.transform(["d", "e", ""]).tolist() == [3, 4, 0]


def test_row_alone_equals_row_in_a_batch_and_order_does_not_matter():
    generator = np.random.default_rng(1)
    values = generator.normal(size=200)
    bins = fit_bins("x", values)
    whole = bins.transform(values)
    assert [int(bins.transform([v])[0]) for v in values] == whole.tolist()
    order = generator.permutation(200)
    assert np.array_equal(fit_bins("x", values[order]).cuts, bins.cuts)


@pytest.mark.parametrize("cells", [[0.1, 0.2, None, 1e300], ["a", "b", "c", None], [True, False, True, True]])
def test_dictionary_returns_the_same_bins(cells):
    bins = fit_bins("x", np.array(cells, dtype=object))
    again = ColumnBins.from_dict(json.loads(json.dumps(bins.to_dict())))
    assert again.to_dict() == bins.to_dict()
    assert np.array_equal(again.transform(cells), bins.transform(cells))


@pytest.mark.parametrize("kind", ["number", "category", "ordinal"])
def test_coarse_bins_equal_a_transform_of_their_own(kind):
    generator = np.random.default_rng(2)
    values = generator.integers(0, 40, 1000)
    cells = values.astype(float) if kind == "number" else values.astype(str)
    order = [str(i) for i in range(40)] if kind == "ordinal" else None
    bins = fit_bins("x", cells, kind=kind, order=order, rare=1)
    coarse, lookup = coarsen(bins, 8)
    assert coarse.size - 2 <= 9
    assert np.array_equal(coarse.transform(cells), lookup[bins.transform(cells)])
    assert np.array_equal(bins.lookup_in(coarse), lookup)
    assert coarse.counts.sum() == bins.counts.sum()


def test_errors_name_the_column_and_the_fix():
    with pytest.raises(ValueError, match="'x' has kind 'text'; expected one of number"):
        ColumnBins("x", "text")
    with pytest.raises(ValueError, match="'x' is ordinal and has no order"):
        fit_bins("x", ["a", "b"], kind="ordinal")


def test_words_of_bins():
    bins = fit_bins("age", [20.0, 30.0, 40.0])
    assert [bins.text(i) for i in range(bins.size)] == ["missing", "below 25", "25 to 35", "35 or more", "unknown"]
