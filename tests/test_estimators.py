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
    contributions = model.contributions(X)
    assert contributions.shape == (150, 4, 3)
    assert [term.name for term in model.fit_.terms] == ["x0", "x1", "x2", "x3"]
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


def mixed_frame(n=200):
    pandas = pytest.importorskip("pandas")
    generator = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "age": generator.normal(40, 10, n),
            "job": generator.choice(["clerk", "nurse", "smith"], n),
            "member": generator.random(n) < 0.5,
            "grade": pandas.Categorical(
                generator.choice(["low", "mid", "high"], n), ["low", "mid", "high"], ordered=True
            ),
            "town": pandas.Categorical(generator.choice(["A", "B", "C", None], n)),
            "visits": pandas.array(generator.integers(0, 9, n), dtype="Int64"),
            "insured": pandas.array(generator.choice([True, False], n), dtype="boolean"),
            "empty": np.nan,
        },
        index=[f"row {i}" for i in range(n)],
    )
    frame.loc["row 3":"row 9", ["age", "job", "visits", "insured", "grade"]] = None
    return frame, np.where((frame["job"] == "nurse") ^ frame["member"], "yes", "no")


def test_every_column_type_of_a_data_frame():
    frame, y = mixed_frame()
    model = AdditiveClassifier(inner_splits=2, max_pairs=3).fit(frame, y)
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.score(frame, y) > 0.95  # the pair job x member
    kinds = {term.name: term.bins[0].kind for term in model.fit_.terms if len(term.columns) == 1}
    assert kinds == {
        "age": "number",
        "job": "category",
        "member": "boolean",
        "grade": "ordinal",
        "town": "category",
        "visits": "number",
        "insured": "boolean",
        "empty": "number",
    }
    grade = next(term for term in model.fit_.terms if term.name == "grade")
    assert grade.bins[0].labels == (("low",), ("mid",), ("high",))
    as_objects = frame.astype(object)
    assert np.array_equal(model.predict_proba(as_objects), model.predict_proba(frame))


def test_explanations_are_a_tidy_table():
    frame, y = mixed_frame()
    model = AdditiveClassifier(**QUICK).fit(frame, y)
    table = model.explain(frame.iloc[[3, 20]])
    assert table["row"].unique().tolist() == ["row 3", "row 20"]
    assert len(table) == 2 * (1 + 8)
    values = table.set_index(["row", "term"])["value"]
    assert values["row 3", "age"] == "missing"
    assert values["row 20", "job"] == frame.loc["row 20", "job"]
    sums = table.groupby("row", sort=False)["contribution"].sum()
    assert np.abs(sums.to_numpy() - model.decision_function(frame.iloc[[3, 20]])).max() < 1e-12
    classes = AdditiveClassifier(**QUICK).fit(frame[["age", "job"]], frame["town"].astype(object).fillna("none"))
    table = classes.explain(frame[["age", "job"]].head(2))
    assert len(table) == 2 * 3 * 4
    assert table.groupby(["row", "class"])["contribution"].sum()["row 0", "none"] == pytest.approx(
        classes.decision_function(frame[["age", "job"]].head(1))[0, 3]
    )
    importance = model.importance()
    assert list(importance.values()) == sorted(importance.values(), reverse=True)


def test_errors_name_the_mistake():
    frame, y = mixed_frame(60)
    regressor = AdditiveRegressor(**QUICK)
    with pytest.raises(ValueError, match="column 'day' has type datetime64"):
        regressor.fit(frame.assign(day=np.datetime64("2020-01-01")), np.zeros(60))
    with pytest.raises(ValueError, match="pass a DataFrame for columns of text"):
        regressor.fit(np.array([["a"], ["b"]], dtype=object), [0.0, 1.0])
    with pytest.raises(ValueError, match="the target of row 2 is missing"):
        AdditiveClassifier(**QUICK).fit(frame, [*y[:2], None, *y[3:]])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        AdditiveClassifier(**QUICK).fit(frame, y[1:])
    with pytest.raises(ValueError, match="kinds names column 'agee', which X does not have; nearest: 'age'"):
        AdditiveClassifier(kinds={"agee": "number"}).fit(frame, y)
    with pytest.raises(ValueError, match="'job' is a category and cannot be monotone"):
        AdditiveClassifier(monotone={"job": 1}).fit(frame, y)
    with pytest.raises(ValueError, match="class_weight names 'maybe'"):
        AdditiveClassifier(class_weight={"maybe": 2.0}).fit(frame, y)
    with pytest.raises(ValueError, match="max_pairs is -1"):
        AdditiveClassifier(max_pairs=-1).fit(frame, y)
