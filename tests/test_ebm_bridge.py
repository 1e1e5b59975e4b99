"""EBMs of the package interpret as additive terms and back; runs where interpret-core is installed."""

import json

import numpy as np
import pandas as pd
import pytest

from zoo.estimators import from_ebm, to_ebm
from zoo.layers.additive import AdditiveSettings, fit_additive, purify_terms

glassbox = pytest.importorskip("interpret.glassbox", reason="interpret-core is not installed (extra: interpret)")
pytestmark = pytest.mark.filterwarnings("ignore")
N = 300
FAST = {"outer_bags": 2, "max_rounds": 60, "n_jobs": 1}


def table():
    g = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": g.normal(size=N).round(1),
            "town": g.choice(["u", "v", "w"], N),
            "b": g.uniform(size=N).round(2),
        }
    )
    frame.loc[:19, "a"] = np.nan
    frame.loc[10:29, "town"] = None
    z = frame["a"].fillna(0.5) + (frame["town"] == "u") + 2 * (frame["b"] > 0.5) * (frame["a"].fillna(0) > 0)
    return frame, z.to_numpy() + 0.3 * g.normal(size=N)


def unusual(frame):
    """Rows with unseen labels, missing cells and numbers outside the range."""
    rows = frame.head(40).copy()
    rows.loc[:9, "town"] = "never"
    rows.loc[5:14, "b"] = [1e9, -1e9] * 5
    rows.loc[20:24, "b"] = np.nan
    return pd.concat([frame, rows])


def cells_of(frame):
    return {name: frame[name].to_numpy(dtype=None if name != "town" else object) for name in frame}


def targets():
    _, z = table()
    return {
        "binary": np.where(z > 0.8, "yes", "no"),
        "multiclass": np.array(["p", "q", "r"])[np.digitize(z, (0.3, 1.5))],
        "regression": z,
    }


def trained(task, **options):
    frame, _ = table()
    kind = glassbox.ExplainableBoostingRegressor if task == "regression" else glassbox.ExplainableBoostingClassifier
    pairs = 0 if task == "multiclass" else 2
    return kind(interactions=pairs, **FAST, **options).fit(frame, targets()[task]), frame


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_an_imported_ebm_scores_as_the_original(task, tmp_path):
    ebm, frame = trained(task)
    rows = unusual(frame)
    expected = ebm.predict(rows) if task == "regression" else ebm.decision_function(rows)
    file = tmp_path / "model.json"
    file.write_text(json.dumps(ebm.to_jsonable(detail="interpretable")))
    for source in (ebm, ebm.to_jsonable(detail="interpretable"), file):
        fit = from_ebm(source)
        assert fit.task == task
        scores = fit.scores(cells_of(rows))
        if task == "multiclass":
            assert np.abs(scores.sum(1)).max() < 1e-10
            scores = scores - scores.mean(1, keepdims=True)
            expected = expected - expected.mean(1, keepdims=True)
        else:
            scores = scores[:, 0]
        assert np.abs(scores - expected).max() < 1e-10
    if task != "multiclass":
        assert any(len(term.bins) == 2 for term in fit.terms)
    assert list(fit.classes) == ([] if task == "regression" else list(ebm.classes_))


def test_pairs_with_cuts_of_their_own_are_purified_without_a_change():
    ebm, frame = trained("binary")
    fit = from_ebm(ebm)
    sizes = {term.name: [axis.size for axis in term.bins] for term in fit.terms}
    pair = next(name for name in sizes if " x " in name and "town" not in name)
    assert sizes[pair][0] < sizes[pair.split(" x ")[0]][0]
    terms, intercept = purify_terms(fit.terms, fit.intercept)
    cells = cells_of(frame)
    total = intercept + sum(t.table.reshape(-1, 1)[t.codes(cells)] for t in terms)
    assert np.abs(total - fit.scores(cells)).max() < 1e-9


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_live_ebm_takes_our_terms(task):
    frame, _ = table()
    y = targets()[task]
    settings = AdditiveSettings(inner_splits=2, max_pairs=0 if task == "multiclass" else 2, max_bins=40, pair_bins=6)
    fit = fit_additive(cells_of(frame), y, task=task, settings=settings)
    ebm = to_ebm(fit, trained(task)[0])
    rows = unusual(frame)
    expected = fit.scores(cells_of(rows))
    actual = ebm.predict(rows) if task == "regression" else ebm.decision_function(rows)
    assert np.abs(np.asarray(actual).reshape(expected.shape) - expected).max() < 1e-10
    explanation = ebm.explain_global()
    assert len(explanation.data()["names"]) == len(fit.terms)
    again = from_ebm(ebm)
    assert np.abs(again.scores(cells_of(rows)) - expected).max() < 1e-10


def test_what_is_no_ebm_is_refused():
    ebm, frame = trained("binary")
    content = ebm.to_jsonable(detail="interpretable")
    with pytest.raises(ValueError, match="version '2.0'; expected '1.0'"):
        from_ebm({**content, "version": "2.0"})
    with pytest.raises(ValueError, match="source is a int; expected a fitted EBM"):
        from_ebm(3)
    changed = json.loads(json.dumps(content))
    changed["ebm"]["outputs"][0]["link"] = "log"
    with pytest.raises(ValueError, match="link 'log'; expected one output with identity"):
        from_ebm(changed)
    fit = fit_additive({"other": np.arange(60.0)}, np.arange(60) > 30, task="binary")
    with pytest.raises(ValueError, match="the EBM has no column 'other'"):
        to_ebm(fit, ebm)
