"""The whole fit: known truth, calibration, constraints, scores of raw rows, equal bits, errors."""

from dataclasses import replace

import numpy as np
import pytest

from zoo.layers.additive import fit_bins
from zoo.layers.additive.fit import fit_additive
from zoo.layers.additive.fitting.candidates import START, Path
from zoo.layers.additive.fitting.choose_settings import LEFT_OUT
from zoo.layers.additive.fitting.convex_losses import Loss
from zoo.layers.additive.fitting.fit_settings import AdditiveSettings
from zoo.layers.additive.fitting.inner_validation import inner_splits
from zoo.layers.additive.fitting.pairs import pair_strength, rank_pairs
from zoo.layers.additive.fitting.smoothness import fellner_schall
from zoo.layers.additive.fitting.training_rows import Frame, prepare_target

QUICK = AdditiveSettings(inner_splits=3, pair_bins=8, path_bins=16, max_bins=40)


def truth(n=3000, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 5))
    x[:, 2:] = generator.uniform(-1.7, 1.7, (n, 3))
    x[:, 1] = 0.6 * x[:, 0] + 0.8 * x[:, 1]  # correlated
    parts = {"a": np.sin(2 * x[:, 0]), "b": np.abs(x[:, 1]), "c x d": x[:, 2] * x[:, 3]}
    cells = dict(zip("abcde", x.T, strict=True))
    return cells, parts, generator


def test_known_truth_is_recovered():
    cells, parts, generator = truth()
    y = sum(parts.values()) + 0.2 * generator.normal(size=3000)
    fit = fit_additive(cells, y, task="regression", settings=replace(QUICK, max_bins=128, path_bins=32, pair_bins=20))
    terms = {term.name: term for term in fit.terms}
    for name, values in parts.items():
        recovered = terms[name].table.reshape(-1)[terms[name].codes(cells)]
        assert np.corrcoef(recovered, values)[0, 1] > 0.99, name
    importance = {name: float(term.importance()[1][0]) for name, term in terms.items()}
    assert importance["e"] < 0.05 * importance["b"]
    pairs = sorted((value for name, value in importance.items() if " x " in name), reverse=True)
    assert importance["c x d"] == pairs[0]
    assert pairs[1:] == [] or pairs[1] < 0.2 * pairs[0]


def test_null_column_stays_below_shuffled_targets():
    cells, parts, generator = truth(800)
    signal = sum(parts.values())
    y = (generator.random(800) < 1 / (1 + np.exp(-signal))).astype(int)
    settings = replace(QUICK, max_pairs=0)
    fit = fit_additive(cells, y, task="binary", settings=settings)
    null = {term.name: float(term.importance()[1][0]) for term in fit.terms}["e"]
    shuffled = []
    for _ in range(5):
        other = fit_additive(cells, generator.permutation(y), task="binary", settings=settings)
        shuffled += [float(term.importance()[1][0]) for term in other.terms]
    assert null <= max(shuffled)


def test_fast_ranks_the_true_pair_first_and_equals_a_loop():
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 6, (4000, 4))
    residual = np.where(codes[:, 1] > 2, 1.0, -1.0) * np.where(codes[:, 3] > 3, 1.0, -1.0)
    residual = residual + generator.normal(size=4000)
    curvature = generator.uniform(0.5, 1.0, (4000, 1))
    ranked = rank_pairs(codes, np.full(4, 6), np.ones(4, bool), residual[:, None], curvature)
    assert ranked[0][:2] == (1, 3)
    assert len(ranked) == 6
    best = 0.0
    for p in range(1, 6):
        for q in range(1, 6):
            gain = -(residual.sum() ** 2) / curvature.sum()
            for above in (codes[:, 1] >= p, codes[:, 1] < p):
                for right in (codes[:, 3] >= q, codes[:, 3] < q):
                    chosen = above & right
                    gain += residual[chosen].sum() ** 2 / curvature[chosen].sum()
            best = max(best, gain)
    assert ranked[0][2] == pytest.approx(best)
    assert pair_strength(np.zeros((1, 3, 3, 1)), np.ones((1, 3, 3, 1))).tolist() == [0.0]


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_mean_probability_equals_the_base_rate(balanced, classes):
    cells, parts, generator = truth(300)
    cells = {name: cells[name] for name in "ab"}
    noise = generator.gumbel(size=(300, classes))
    y = (np.stack([k * parts["a"] - 1.5 * k for k in range(classes)], 1) + noise).argmax(1)
    weights = generator.uniform(0.5, 2, 300)
    task = "binary" if classes == 2 else "multiclass"
    settings = replace(QUICK, balanced=balanced, max_pairs=0)
    fit = fit_additive(cells, y, task=task, weights=weights, settings=settings)
    scores = fit.scores(cells)
    scores = np.concatenate([0 * scores, scores], 1) if task == "binary" else scores
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    rates = np.bincount(y, weights=weights) / weights.sum()
    assert np.abs(weights @ probabilities / weights.sum() - rates).max() < 1e-6


def test_monotone_by_brute_force_and_missing_free():
    cells, parts, generator = truth(800)
    cells["a"] = cells["a"].copy()
    cells["a"][:40] = np.nan
    y = (generator.random(800) < 1 / (1 + np.exp(-parts["a"] - cells["b"]))).astype(int)
    settings = replace(QUICK, monotone={"a": 1, "b": 1}, pair_strengths=(30.0,))
    fit = fit_additive(cells, y, task="binary", settings=settings)
    assert not any("a" in term.columns or "b" in term.columns for term in fit.terms if len(term.bins) == 2)
    grid = np.linspace(-4, 4, 81)
    for base in range(0, 40, 8):
        for name in "ab":
            rows = {key: np.full(81, values[base + 100]) for key, values in cells.items()}
            rows[name] = grid
            assert (np.diff(fit.scores(rows)[:, 0]) >= -1e-12).all()
    scores = fit.scores(cells)[:, 0]
    assert np.mean(1 / (1 + np.exp(-scores))) == pytest.approx(y.mean(), abs=1e-6)


def test_mixed_columns_unseen_and_missing_cells():
    generator = np.random.default_rng(0)
    n = 400
    cells = {
        "number": np.where(generator.random(n) < 0.1, np.nan, generator.normal(size=n)),
        "label": generator.choice(np.array(["u", "v", "w", None], dtype=object), n),
        "flag": generator.choice(["yes", "no"], n),
    }
    y = (cells["label"] == "u") + 0.5 * np.nan_to_num(cells["number"])
    fit = fit_additive(cells, y, task="regression", settings=replace(QUICK, max_pairs=1))
    unseen = {"number": ["abc"], "label": ["never"], "flag": ["perhaps"]}
    assert fit.scores(unseen)[0] == pytest.approx(fit.intercept, abs=1e-12)  # unknown cells: an average row
    assert fit.scores(cells).mean() == pytest.approx(y.mean(), abs=1e-6)
    assert np.corrcoef(fit.scores(cells)[:, 0], y)[0, 1] > 0.9
    added = sum(term.table.reshape(-1, 1)[term.codes(cells)] for term in fit.terms)
    assert np.abs(added + fit.intercept - fit.scores(cells)).max() < 1e-12
    alone = np.concatenate([fit.scores({name: values[i : i + 1] for name, values in cells.items()}) for i in range(9)])
    assert np.array_equal(alone, fit.scores(cells)[:9])


def test_equal_bits_and_order_of_columns():
    cells, parts, generator = truth(500)
    y = parts["a"] + parts["c x d"] + 0.1 * generator.normal(size=500)
    first = fit_additive(cells, y, task="regression", settings=QUICK)
    second = fit_additive(cells, y, task="regression", settings=QUICK)
    assert [np.array_equal(a.table, b.table) for a, b in zip(first.terms, second.terms, strict=True)]
    assert all(np.array_equal(a.table, b.table) for a, b in zip(first.terms, second.terms, strict=True))
    assert first.chosen == second.chosen
    shuffled = fit_additive(dict(reversed(cells.items())), y, task="regression", settings=QUICK)
    assert np.abs(shuffled.scores(cells) - first.scores(cells)).max() < 1e-4


def test_jumps_are_found_where_there_are_some():
    generator = np.random.default_rng(0)
    x = generator.integers(0, 60, 6000).astype(float)
    jump = generator.normal(size=60)
    y = jump[x.astype(int)] + 0.5 * generator.normal(size=6000)
    fit = fit_additive({"x": x}, y, task="regression", settings=replace(QUICK, max_bins=256))
    assert fit.chosen.startswith("jumps")
    assert np.corrcoef(fit.scores({"x": np.arange(60.0)})[:, 0], jump)[0, 1] > 0.99
    smooth = fit_additive({"x": x}, np.sin(x / 10) + generator.normal(size=6000), task="regression")
    assert smooth.chosen.startswith("smooth")


def test_bands_cover_the_spread_over_fresh_samples():
    tables, bands = [], []
    for seed in range(12):
        generator = np.random.default_rng(seed)
        x = generator.integers(0, 6, 600).astype(float)
        y = np.sin(x) + generator.normal(size=600)
        fit = fit_additive({"x": x}, y, task="regression", settings=replace(QUICK, inner_splits=8))
        tables.append(fit.terms[0].table[1:-1, 0])
        bands.append(fit.terms[0].bands[1:-1, 0])
    ratio = np.mean(bands, 0) / np.std(tables, 0)
    assert 0.5 < ratio.mean() < 2


def test_averaged_smoothness_is_the_geometric_mean_over_subsets():
    cells, y = smooth_rows()
    plain = fit_additive(cells, y, task="regression", settings=AdditiveSettings(inner_splits=2, max_pairs=0))
    settings = AdditiveSettings(
        inner_splits=2, max_pairs=0, smoothness_resamples=3, factors=(1.0,), jump_z=np.inf, path_bins=256
    )
    fit = fit_additive(cells, y, task="regression", settings=settings)
    assert fit.kkt < 1e-7
    path = Path(frame_of(cells, y, settings), settings)
    parts = path.frame.mains(coarse=True)
    whole = path.assemble(parts, path.rows)
    start = np.array([START[component.name] for component in whole.components])
    product = np.ones(len(start))
    for rows, _ in inner_splits(path.loss, 3, LEFT_OUT, 1):
        product *= fellner_schall(path.assemble(parts, rows), path.loss.take(rows), start)[0]
    np.testing.assert_allclose(list(fit.strengths.values()), product ** (1 / 3), rtol=1e-6)
    assert max(abs(fit.scores(cells) - plain.scores(cells)))[0] > 1e-6
    again = fit_additive(cells, y, task="regression", settings=settings)
    assert np.array_equal(again.scores(cells), fit.scores(cells))
    with pytest.raises(ValueError, match="smoothness_resamples is -1"):
        AdditiveSettings(smoothness_resamples=-1)


def smooth_rows(n=150):
    g = np.random.default_rng(0)
    a = g.normal(size=n)
    cells = {"a": a, "b": a + 0.1 * g.normal(size=n)}
    return cells, np.sin(2 * a) + 0.3 * g.normal(size=n)


def frame_of(cells, y, settings):
    target, _, _, _ = prepare_target(y, "regression")
    bins = [fit_bins(name, column, rare=3) for name, column in cells.items()]
    codes = [axis.transform(cells[axis.name]) for axis in bins]
    loss = Loss("regression", target, np.ones(len(y)))
    return Frame(bins, codes, loss, np.arange(len(y)), settings.path_bins, 8)


def test_errors_say_what_is_expected():
    x = np.arange(20.0)
    with pytest.raises(ValueError, match="task is 'rank'; expected one of binary"):
        fit_additive({"x": x}, x, task="rank")
    with pytest.raises(ValueError, match="the target has 20 classes; expected 2"):
        fit_additive({"x": x}, x, task="binary")
    with pytest.raises(ValueError, match="column 'y', which is not in the table; nearest: 'x'"):
        fit_additive({"x": x}, x, task="regression", settings=AdditiveSettings(monotone={"y": 1}))
    with pytest.raises(ValueError, match="expected 20 finite numbers of 0 or more"):
        fit_additive({"x": x}, x, task="regression", weights=-x)
    with pytest.raises(ValueError, match="inner_splits is 1; expected 2 or more"):
        AdditiveSettings(inner_splits=1)
    with pytest.raises(ValueError, match="column 'x' has 19 rows and the target 20"):
        fit_additive({"x": x[1:]}, x, task="regression")
    with pytest.raises(ValueError, match="the target of row 0 is not a finite number"):
        fit_additive({"x": x}, np.full(20, np.nan), task="regression")


def test_separated_classes_reach_the_certificate():
    generator = np.random.default_rng(4)
    x = np.concatenate([generator.normal(3 * k, 0.5, 40) for k in range(3)]).round(1)
    y = np.repeat([0, 1, 2], 40)
    fit = fit_additive({"x": x}, y, task="multiclass", settings=replace(QUICK, factors=(1.0, 0.1, 0.01)))
    assert fit.kkt < 1e-7
    assert (fit.scores({"x": x}).argmax(1) == y).mean() > 0.95
    assert np.abs(fit.scores({"x": x}).sum(1)).max() < 1e-8


@pytest.mark.slow
def test_wide_tables_reach_the_certificate():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(500, 40))
    x[:, 20:] = x[:, :20] + 0.1 * x[:, 20:]  # nearly collinear
    y = (x[:, 0] + generator.normal(size=500) > 0).astype(int)
    cells = {f"x{j}": x[:, j] for j in range(40)}
    fit = fit_additive(cells, y, task="binary", settings=AdditiveSettings(inner_splits=2, max_pairs=0))
    assert fit.kkt < 1e-7
    assert sum(term.counts.size for term in fit.terms) <= 3000
