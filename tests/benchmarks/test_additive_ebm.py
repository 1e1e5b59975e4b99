"""Additive fit beside EBM, linear models, boosting and a forest, on scikit-learn's tables and those under ZOO_DATA.

``pytest -m benchmark -s tests/benchmarks/test_additive_ebm.py``; EBM takes part where ``interpret-core`` is installed.
Every model sees the same splits with its default settings, and no penalty is chosen on test rows. ``SPLITS`` is the
number of splits (5), ``FIRST`` the seed of the first one (10), ``MODELS`` a list of models (all). Each cell (table,
model, split) is kept in the folder ``CELLS`` (cells) and computed once; cells of the additive model of other code are
computed again. A stopped run continues.
"""

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest
from additive_tables import NAMES, OWN, TABLES, load, models
from scipy.stats import rankdata
from scipy.stats import t as student
from sklearn.metrics import log_loss, roc_auc_score

import zoo

pytestmark = pytest.mark.benchmark
SPLITS = int(os.environ.get("SPLITS", "5"))
FIRST = int(os.environ.get("FIRST", "10"))
MODELS = [name for name in os.environ.get("MODELS", "").split(",") if name]
CELLS = Path(os.environ.get("CELLS", "cells"))
ECE_BINS = 15
NOT_OF_THE_FIT = {"__init__", "columns", "data_frame", "fit_batches", "fit_result", "tables", "tensors", "terms"}
DRAWS = 1000  # of the bootstrap over test rows where there is one split


def code_hash():
    """Return a hash of the files that decide what is fitted, without their names and imports."""
    folder = Path(zoo.__file__).parent / "layers" / "additive"
    files = [file for file in folder.rglob("*.py") if file.stem not in NOT_OF_THE_FIT]
    lines = [[x for x in file.read_text().splitlines() if " import " not in x] for file in files]
    return hashlib.sha256("".join(sorted("\n".join(text) for text in lines)).encode()).hexdigest()[:12]


def cell(name, table, model, fit, split):
    """Return prediction on the test rows, scores of mains on all rows, seconds and number of terms of one fit."""
    code = code_hash() if model.startswith("additive") else ""
    file = CELLS / f"{name}.{model.replace(' ', '_')}.{FIRST + split}.npz"
    if file.exists() and str(np.load(file)["code"]) == code:
        return dict(np.load(file))
    train, test = table.splits[split]
    start = time.process_time()
    fitted = fit({key: values[train] for key, values in table.cells.items()}, table.y[train])
    seconds = time.process_time() - start
    result = {
        "code": np.array(code),
        "output": fitted.predict({key: values[test] for key, values in table.cells.items()}),
        "mains": np.zeros(0) if fitted.mains is None else fitted.mains(table.cells).astype(np.float32),
        "seconds": np.array(seconds),
        "terms": np.array(fitted.terms),
    }
    CELLS.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file.with_suffix(".part.npz"), **result)
    file.with_suffix(".part.npz").replace(file)
    return result


def scores(task, y, output):
    """Return AUROC or minus RMSE, log loss and expected calibration error."""
    if task == "regression":
        return -np.sqrt(np.mean((output - y) ** 2)), np.nan, np.nan
    auroc = roc_auc_score(y, output[:, 1] if task == "binary" else output, multi_class="ovr")
    chance = output[:, 1] if task == "binary" else output.max(1)
    hit = y if task == "binary" else output.argmax(1) == y
    place = np.minimum((chance * ECE_BINS).astype(int), ECE_BINS - 1)
    gap = np.bincount(place, weights=hit - chance, minlength=ECE_BINS)
    return auroc, log_loss(y, output), np.abs(gap).sum() / len(y)


def interval(differences):
    """Return mean and half of the 95 % t interval of paired differences."""
    n = len(differences)
    half = student.ppf(0.975, n - 1) * differences.std(ddof=1) / n**0.5 if n > 1 else np.nan
    return differences.mean(), half


def bootstrap(y, ours, other):
    """Return mean and half of the 95 % interval of the AUROC difference of two models over draws of test rows."""
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        rows = generator.integers(0, len(y), len(y))
        positive = y[rows] == 1
        ranks = [rankdata(chance[rows])[positive].sum() for chance in (ours, other)]
        drawn.append((ranks[0] - ranks[1]) / (positive.sum() * (~positive).sum()))
    return np.mean(drawn), (np.quantile(drawn, 0.975) - np.quantile(drawn, 0.025)) / 2


def stability(mains):
    """Return the mean correlation of a main over pairs of fits, weighted by its spread; shape (fits, n, columns)."""
    weights = mains.std(1).mean(0)
    total = 0.0
    for j in np.flatnonzero(weights > 0):
        tables = mains[:, :, j] + 1e-12 * np.arange(mains.shape[1])  # a constant main has a correlation too
        total += weights[j] * np.corrcoef(tables)[np.triu_indices(len(mains), 1)].mean()
    return total / weights.sum()


@pytest.mark.parametrize("name", NAMES)
def test_scores(name):
    if name in OWN and not TABLES.exists():
        pytest.skip(f"{TABLES} does not exist; set ZOO_DATA")
    table = load(name, FIRST, SPLITS)
    cells = {}
    for split in range(len(table.splits)):
        for model, fit in models(table.cells, table.task, FIRST + split).items():
            if not MODELS or model in MODELS:
                cells.setdefault(model, []).append(cell(name, table, model, fit, split))
    report(name, table, cells)


def report(name, table, cells):
    """Print a table in Markdown: the mean over the splits, of Adult the official split."""
    official = name == "adult"
    figures = {
        model: np.array([scores(table.task, table.y[table.splits[k][1]], c["output"]) for k, c in enumerate(of_model)])
        for model, of_model in cells.items()
    }
    ours = figures.get("additive")
    what = "RMSE" if table.task == "regression" else "AUROC"
    print(f"\n### {name}\n\n| model | {what} | log loss | ECE | seconds | terms | stability | additive minus it |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for model, rows in figures.items():
        used = rows[:1] if official else rows
        mean = used.mean(0)
        seconds = np.mean([float(c["seconds"]) for c in cells[model][: len(used)]])
        terms = np.mean([int(c["terms"]) for c in cells[model][: len(used)]])
        mains = [c["mains"] for c in cells[model]][1 if official else 0 :]
        stable = f"{stability(np.array(mains)):.3f}" if len(mains) > 1 and mains[0].size else ""
        difference = ""
        if ours is not None and model != "additive":
            middle, half = interval(ours[: len(rows), 0] - rows[: len(ours), 0])
            if official:
                outputs = [cells[m][0]["output"][:, 1] for m in ("additive", model)]
                middle, half = bootstrap(table.y[table.splits[0][1]], *outputs)
            middle = -middle if table.task == "regression" else middle
            difference = f"{middle:+.4f} ± {half:.4f}"
        others = ["" if np.isnan(v) else f"{v:.4f}" for v in mean[1:]]
        row = [model, f"{abs(mean[0]):.4f}", *others, f"{seconds:.1f}", f"{terms:.0f}" if terms else "", stable]
        print("| " + " | ".join([*row, difference]) + " |")
    assert all(np.isfinite(rows[:, 0]).all() for rows in figures.values())
