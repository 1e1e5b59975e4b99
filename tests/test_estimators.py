"""Estimators: scikit-learn's own checks, DataFrames, contributions, class weights."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.utils.estimator_checks import parametrize_with_checks

from zoo.estimators import AdditiveClassifier, AdditiveRegressor

QUICK = {"inner_splits": 2, "max_pairs": 0}
ROWS = "penalties are chosen on inner splits, which draw rows: a repeated row is drawn twice, a weighted row once"
EXPECTED = {"check_sample_weight_equivalence_on_dense_data": ROWS}


@parametrize_with_checks(
    [AdditiveRegressor(**QUICK), AdditiveClassifier(**QUICK)], expected_failed_checks=lambda _: EXPECTED
)
def test_scikit_learn(estimator, check):
    check(estimator)


def test_contributions_add_up_for_three_classes():
    X, y = load_iris(return_X_y=True)
    model = AdditiveClassifier(**QUICK).fit(X, np.array(["setosa", "versicolor", "virginica"])[y])
    contributions, names = model.explain(X)
    assert contributions.shape == (150, 4, 3)
    assert names == ["x0", "x1", "x2", "x3"]
    assert np.abs(contributions.sum(1) + model.fit_.intercept - model.decision_function(X)).max() < 1e-12
    assert model.score(X, np.array(["setosa", "versicolor", "virginica"])[y]) > 0.95


def test_data_frame_with_labels_and_missing_cells():
    pandas = pytest.importorskip("pandas")
    generator = np.random.default_rng(0)
    frame = pandas.DataFrame({"age": generator.normal(40, 10, 300), "job": generator.choice(["a", "b", "c"], 300)})
    frame.loc[:20, "age"] = np.nan
    frame.loc[10:30, "job"] = None
    y = (frame["job"] == "a") + 0.1 * frame["age"].fillna(40)
    model = AdditiveRegressor(**QUICK).fit(frame, y)
    assert model.score(frame, y) > 0.9
    assert model.feature_names_in_.tolist() == ["age", "job"]
    unseen = pandas.DataFrame({"age": [np.nan], "job": ["never"]})
    assert np.isfinite(model.predict(unseen)).all()
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"job": "work"}))


def test_balanced_classes_keep_calibrated_probabilities():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(400, 2))
    y = (X[:, 0] + generator.normal(size=400) > 1.5).astype(int)
    model = AdditiveClassifier(class_weight="balanced", **QUICK).fit(X, y)
    assert model.predict_proba(X)[:, 1].mean() == pytest.approx(y.mean(), abs=1e-6)
    with pytest.raises(ValueError, match="expected None, 'balanced' or weights by class"):
        AdditiveClassifier(class_weight="even").fit(X, y)
