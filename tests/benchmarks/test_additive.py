"""Additive fit beside EBM, linear models, boosting and a forest, on scikit-learn's tables and those under ZOO_DATA.

``pytest -m benchmark -s tests/benchmarks/test_additive.py``; EBM takes part where ``interpret-core`` is installed.
Every model sees the same random 80/20 splits (Adult: the official one) and no penalty is chosen on test rows.
``SPLITS`` is their number (5), ``FIRST`` the seed of the first one (0), ``MODELS`` a list of models (all).
"""

import csv
import gzip
import os
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from zoo.layers.additive import AdditiveSettings, fit_additive

pytestmark = pytest.mark.benchmark
TABLES = Path(os.environ.get("ZOO_DATA", "data")) / "tables"
SPLITS = int(os.environ.get("SPLITS", "5"))
FIRST = int(os.environ.get("FIRST", "0"))
MODELS = os.environ.get("MODELS", "").split(",")
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 10: 2.26, 20: 2.09}


def read(name):
    opener = gzip.open if name.endswith("gz") else open
    with opener(TABLES / name, "rt", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    return {name: [row[j] for row in rows[1:]] for j, name in enumerate(rows[0])}


def column(cells):
    try:
        return np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        return np.array([cell or None for cell in cells], dtype=object)


def load(name):
    """Return columns by name, target, task and the splits."""
    official = None
    if name == "adult":
        train, test = read("adult_train.csv.gz"), read("adult_test.csv.gz")
        table = {key: train[key] + test[key] for key in train if key != "fnlwgt"}
        target, positive, task = "income", ">50K", "binary"
        official = len(train["age"])
    elif name in ("pima", "wine_quality_red"):
        table = read(f"{name}.csv")
        target, positive = ("diabetes", "yes") if name == "pima" else ("quality", None)
        task = "binary" if name == "pima" else "regression"
    else:
        bunch = getattr(datasets, f"load_{name}")()
        cells = dict(zip(bunch.feature_names, bunch.data.T, strict=True))
        task = {"diabetes": "regression", "breast_cancer": "binary"}.get(name, "multiclass")
        return cells, bunch.target, task, random_splits(bunch.target, task)
    cells = {key: column(values) for key, values in table.items() if key != target}
    y = np.array([float(v) if task == "regression" else int(v == positive) for v in table[target]])
    if official:
        return cells, y, task, [(np.arange(official), np.arange(official, len(y)))]
    return cells, y, task, random_splits(y, task)


def random_splits(y, task):
    stratify = None if task == "regression" else y
    rows = np.arange(len(y))
    return [
        train_test_split(rows, test_size=0.2, random_state=FIRST + seed, stratify=stratify) for seed in range(SPLITS)
    ]


def encode(cells, one_hot, scaled=True):
    number = [name for name, values in cells.items() if values.dtype != object]
    label = [name for name in cells if name not in number]
    place = {name: j for j, name in enumerate(cells)}
    encoder = (
        OneHotEncoder(handle_unknown="ignore")
        if one_hot
        else OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    )
    fill = SimpleImputer(strategy="constant", fill_value="?", missing_values=None)
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()) if scaled else "passthrough"
    return make_column_transformer(
        (numbers, [place[name] for name in number]), (make_pipeline(fill, encoder), [place[name] for name in label])
    )


def models(cells, task, seed):
    """Return functions (train cells, y) -> (cells -> scores or probabilities) by name."""
    regression = task == "regression"

    def additive(**settings):
        def train(x, y):
            fit = fit_additive(x, y, task=task, settings=AdditiveSettings(**settings))

            def predict(x):
                scores = fit.scores(x)
                if regression:
                    return scores[:, 0]
                scores = np.concatenate([0 * scores, scores], 1) if task == "binary" else scores
                exponent = np.exp(scores - scores.max(1, keepdims=True))
                return exponent / exponent.sum(1, keepdims=True)

            predict.mains = lambda x: np.stack(
                [t.table.reshape(-1, len(fit.intercept))[t.codes(x)][:, 0] for t in fit.terms if len(t.bins) == 1], 1
            )
            return predict

        return train

    def estimator(make):
        def train(x, y):
            fitted = make().fit(matrix(x), y)
            return lambda x: fitted.predict(matrix(x)) if regression else fitted.predict_proba(matrix(x))

        return train

    def matrix(x):
        labels = any(values.dtype == object for values in x.values())
        return np.stack([values.astype(object) if labels else values for values in x.values()], 1)

    def linear():
        model = (
            RidgeCV(np.logspace(-3, 3, 13))
            if regression
            else LogisticRegressionCV(Cs=7, max_iter=1000, scoring="neg_log_loss", use_legacy_attributes=True)
        )
        return make_pipeline(encode(cells, True), model)

    def boosting():
        kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
        return make_pipeline(encode(cells, False, scaled=False), kind(random_state=seed))

    def forest():
        kind = RandomForestRegressor if regression else RandomForestClassifier
        return make_pipeline(
            encode(cells, False), kind(n_estimators=300, min_samples_leaf=1 if regression else 2, random_state=seed)
        )

    result = {
        "additive": additive(),
        "additive mains": additive(max_pairs=0),
        "linear": estimator(linear),
        "boosting": estimator(boosting),
        "forest": estimator(forest),
    }
    try:
        from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor
    except ImportError:
        return result
    kind = ExplainableBoostingRegressor if regression else ExplainableBoostingClassifier

    def ebm(**options):
        def train(x, y):
            fitted = kind(n_jobs=1, random_state=seed, feature_names=list(cells), **options).fit(matrix(x), y)

            def predict(x):
                return fitted.predict(matrix(x)) if regression else fitted.predict_proba(matrix(x))

            mains = [k for k, columns in enumerate(fitted.term_features_) if len(columns) == 1]
            predict.mains = lambda x: fitted.eval_terms(matrix(x))[:, mains].reshape(len(matrix(x)), len(mains), -1)[
                ..., 0
            ]
            return predict

        return train

    result["EBM"] = ebm()
    result["EBM mains"] = ebm(interactions=0)
    return result


@pytest.mark.parametrize("name", ["pima", "wine_quality_red", "breast_cancer", "diabetes", "wine", "iris", "adult"])
def test_scores(name):
    if name in ("pima", "wine_quality_red", "adult") and not TABLES.exists():
        pytest.skip(f"{TABLES} does not exist; set ZOO_DATA")
    cells, y, task, splits = load(name)
    figures, mains = {}, {}
    for seed, (train, test) in enumerate(splits):
        for model, fit in models(cells, task, FIRST + seed).items():
            if MODELS != [""] and model not in MODELS:
                continue
            start = time.process_time()
            predict = fit({key: values[train] for key, values in cells.items()}, y[train])
            seconds = time.process_time() - start
            output = predict({key: values[test] for key, values in cells.items()})
            if task == "regression":
                score = (-np.sqrt(np.mean((output - y[test]) ** 2)), np.nan)
            else:
                chosen = output[:, 1] if task == "binary" else output
                score = (roc_auc_score(y[test], chosen, multi_class="ovr"), log_loss(y[test], output))
            figures.setdefault(model, []).append((*score, seconds))
            if hasattr(predict, "mains"):
                mains.setdefault(model, []).append(predict.mains(cells))
    print(f"\n{name}: {'-RMSE' if task == 'regression' else 'AUROC'}, log loss, CPU seconds of the fit")
    ours = np.array(figures["additive"])
    for model, rows in figures.items():
        rows = np.array(rows)
        difference = ours[:, 0] - rows[:, 0]
        text = f"additive leads by {difference.mean():+.4f}"
        if len(rows) in STUDENT and model != "additive":
            text += f" +- {STUDENT[len(rows)] * difference.std(ddof=1) / len(rows) ** 0.5:.4f}"
        score, loss, seconds = rows.mean(0)
        print(f"  {model:15s} {score:.4f}  {loss:.4f}  {seconds:7.2f} s  {text if model != 'additive' else ''}")
    for model, tables in mains.items():
        if len(tables) > 1:
            print(f"  {model:15s} {stability(np.array(tables)):.3f} weighted correlation of the mains over the splits")
    assert np.isfinite(ours[:, 0]).all()


def stability(mains):
    """Return the mean correlation of a main over pairs of fits, weighted by its spread; shape (fits, n, columns)."""
    weights = mains.std(1).mean(0)
    total = 0.0
    for j in np.flatnonzero(weights > 0):
        tables = mains[:, :, j] + 1e-12 * np.arange(mains.shape[1])  # a constant main has a correlation too
        total += weights[j] * np.corrcoef(tables)[np.triu_indices(len(mains), 1)].mean()
    return total / weights.sum()
