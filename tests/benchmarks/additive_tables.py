"""Tables, splits and models of the benchmark of additive models; used by ``test_additive_ebm.py``."""

import csv
import gzip
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
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
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from zoo.layers.additive import AdditiveSettings, fit_additive

TABLES = Path(os.environ.get("ZOO_DATA", "data")) / "tables"
OWN = ("adult", "pima", "wine_quality_red")  # under ZOO_DATA; the others are those of scikit-learn
NAMES = ("pima", "wine_quality_red", "diabetes", "wine", "iris", "breast_cancer", "adult")


class Table(NamedTuple):
    """Columns by name, target, task, and splits: pairs of row numbers (train, test)."""

    cells: dict
    y: np.ndarray
    task: str
    splits: list


class Fitted(NamedTuple):
    """Predictions of a table's rows: numbers (n,) or probabilities (n, classes); scores (n, mains); number of terms."""

    predict: object
    mains: object = None
    terms: int = 0


def load(name, first, count):
    """Return a table with ``count`` random 80/20 splits of the seeds from ``first`` on.

    Adult has its official split, then ``count`` random 80 % of its training rows with the official test rows.
    """
    if name not in OWN:
        bunch = getattr(datasets, f"load_{name}")()
        cells = dict(zip(bunch.feature_names, bunch.data.T, strict=True))
        task = {"diabetes": "regression", "breast_cancer": "binary"}.get(name, "multiclass")
        return Table(cells, bunch.target, task, random_splits(bunch.target, task, first, count))
    if name == "adult":
        train, test = read("adult_train.csv.gz"), read("adult_test.csv.gz")
        raw = {key: train[key] + test[key] for key in train if key != "fnlwgt"}
        target, positive, task = "income", ">50K", "binary"
    else:
        raw = read(f"{name}.csv")
        target, positive = ("diabetes", "yes") if name == "pima" else ("quality", None)
        task = "binary" if name == "pima" else "regression"
    cells = {key: column(values) for key, values in raw.items() if key != target}
    y = np.array([float(v) if task == "regression" else int(v == positive) for v in raw[target]])
    if name != "adult":
        return Table(cells, y, task, random_splits(y, task, first, count))
    n = len(train["age"])
    rows, test_rows = np.arange(n), np.arange(n, len(y))
    parts = [train_test_split(rows, test_size=0.2, random_state=first + k, stratify=y[:n])[0] for k in range(count)]
    return Table(cells, y, task, [(part, test_rows) for part in (rows, *parts)])


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


def random_splits(y, task, first, count):
    stratify = None if task == "regression" else y
    rows = np.arange(len(y))
    return [train_test_split(rows, test_size=0.2, random_state=first + k, stratify=stratify) for k in range(count)]


def models(cells, task, seed):
    """Return functions (columns, target) -> Fitted by name; the two of EBM need the package interpret-core."""
    make = {
        "additive": partial(additive, task, {}),
        "additive mains": partial(additive, task, {"max_pairs": 0}),
        "nam": partial(nam, task, seed),
        "linear": partial(estimator, task, partial(linear, cells, task)),
        "boosting": partial(estimator, task, partial(boosting, cells, task, seed)),
        "forest": partial(estimator, task, partial(forest, cells, task, seed)),
    }
    try:
        import interpret.glassbox  # noqa: F401
    except ImportError:
        return make
    return make | {
        "EBM": partial(ebm, task, seed, {}),
        "EBM mains": partial(ebm, task, seed, {"interactions": 0}),
    }


def additive(task, settings, x, y):
    fit = fit_additive(x, y, task=task, settings=AdditiveSettings(**settings))
    mains = [term for term in fit.terms if len(term.bins) == 1]

    def predict(x):
        scores = fit.scores(x)
        if task == "regression":
            return scores[:, 0]
        scores = np.concatenate([0 * scores, scores], 1) if task == "binary" else scores
        exponent = np.exp(scores - scores.max(1, keepdims=True))
        return exponent / exponent.sum(1, keepdims=True)

    def scores_of(x):
        return np.stack([t.table.reshape(-1, len(fit.intercept))[t.codes(x)][:, 0] for t in mains], 1)

    return Fitted(predict, scores_of, len(fit.terms))


def nam(task, seed, x, y):
    """Train the config ``nam/table`` on a CSV file of all training rows."""
    from zoo.training.phases import run_phases
    from zoo.training.run import build, load_config

    target = "the target"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "table.csv"
        with file.open("w", newline="") as opened:
            writer = csv.writer(opened)
            writer.writerow([*x, target, "part"])
            rows = list(zip(*records(x).values(), y.tolist(), strict=True))
            writer.writerows([*row, "train"] for row in rows)
            writer.writerow([*rows[0], "test"])  # a file needs a test row; nothing reads it
        kind = "regression" if task == "regression" else "classification"
        overrides = [f"data.file={file}", f"data.target={target}", f"data.task={kind}", "data.split=part", "data.val=0"]
        config = load_config("nam/table", [*overrides, f"seed={seed}", "trainer.accelerator=cpu"])
        model, data = build(config)
        data.setup()
        run_phases(model, data, config, Path(folder), progress=False)

    def predict(x):
        answer = model.predict(records(x))
        return answer.logits[:, 0].numpy() if task == "regression" else answer.probabilities.double().numpy()

    def scores_of(x):
        inputs = model.inputs.read(records(x)).x
        return model.encode(inputs)[..., 0].detach().numpy()

    return Fitted(predict, scores_of, len(model.shape_functions()))


def records(x):
    """Return columns of numbers and words as lists, None for a missing cell."""
    return {name: [None if cell is None or cell != cell else cell for cell in v.tolist()] for name, v in x.items()}


def ebm(task, seed, options, x, y):
    from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor

    regression = task == "regression"
    kind = ExplainableBoostingRegressor if regression else ExplainableBoostingClassifier
    fitted = kind(n_jobs=1, random_state=seed, feature_names=list(x), **options).fit(matrix(x), y)
    mains = [k for k, columns in enumerate(fitted.term_features_) if len(columns) == 1]

    def predict(x):
        return fitted.predict(matrix(x)) if regression else fitted.predict_proba(matrix(x))

    def scores_of(x):
        return fitted.eval_terms(matrix(x))[:, mains].reshape(len(matrix(x)), len(mains), -1)[..., 0]

    return Fitted(predict, scores_of, len(fitted.term_features_))


def estimator(task, make, x, y):
    fitted = make().fit(matrix(x), y)
    return Fitted(lambda x: fitted.predict(matrix(x)) if task == "regression" else fitted.predict_proba(matrix(x)))


def matrix(x):
    labels = any(values.dtype == object for values in x.values())
    return np.stack([values.astype(object) if labels else values for values in x.values()], 1)


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


def linear(cells, task):
    if task == "regression":
        return make_pipeline(encode(cells, True), RidgeCV(np.logspace(-3, 3, 13)))
    model = LogisticRegressionCV(Cs=7, max_iter=1000, scoring="neg_log_loss", use_legacy_attributes=True)
    return make_pipeline(encode(cells, True), model)


def boosting(cells, task, seed):
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return make_pipeline(encode(cells, False, scaled=False), kind(random_state=seed))


def forest(cells, task, seed):
    kind = RandomForestRegressor if task == "regression" else RandomForestClassifier
    leaf = 1 if task == "regression" else 2
    return make_pipeline(encode(cells, False), kind(n_estimators=300, min_samples_leaf=leaf, random_state=seed))
