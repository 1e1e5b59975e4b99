"""Cost of the additive fit over rows, columns and bins, and a table of a million rows within 8 GB.

``pytest -m benchmark -s tests/benchmarks/test_additive_scale.py``; ``ROWS`` (1000000), ``COLUMNS`` (50) and ``PAIRS``
(the default of the fit) describe the large table, ``UNIT`` (20000) the rows at which the growth starts. Seconds are
processor seconds; the memory is the largest resident size of the process, so run the large table alone (``-k large``).
"""

import os
import resource
import time

import numpy as np
import pytest

from zoo.layers.additive import AdditiveSettings, fit_additive

pytestmark = pytest.mark.benchmark
ROWS = int(os.environ.get("ROWS", "1000000"))
COLUMNS = int(os.environ.get("COLUMNS", "50"))
UNIT = int(os.environ.get("UNIT", "20000"))
PAIRS = os.environ.get("PAIRS")
LIMIT = 8.0  # GB


def fitted(rows, columns, bins=256, pairs=None):
    """Return a fit of two classes and its processor seconds; every fifth column has labels, a tenth of it missing."""
    generator = np.random.default_rng(0)
    cells, score = {}, np.zeros(rows, dtype=np.float32)
    for j in range(columns):
        if j % 5 == 4:
            values = generator.integers(0, 12, rows)
            cells[f"x{j}"] = np.array([None, *"abcdefghijk"], dtype=object)[values]
            score += 0.2 * (values % 3 == 1)
        else:
            values = generator.normal(size=rows).astype(np.float32)
            score += np.sin((1 + j % 3) * values) / (1 + j)
            cells[f"x{j}"] = values
    score += cells["x0"] * cells["x1"]
    y = (generator.random(rows) < 1 / (1 + np.exp(-score))).astype(np.int8)
    start = time.process_time()
    fit = fit_additive(cells, y, task="binary", settings=AdditiveSettings(max_bins=bins, max_pairs=pairs))
    return fit, time.process_time() - start


def gigabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # in kilobytes on Linux


def test_growth():
    print("\n| rows | columns | bins | seconds | GB so far | terms |\n| --- | --- | --- | --- | --- | --- |")
    sizes = (
        [(k * UNIT, 10, 64) for k in (1, 2, 4)] + [(UNIT, c, 64) for c in (20, 40)] + [(UNIT, 10, b) for b in (256,)]
    )
    for rows, columns, bins in sizes:
        fit, seconds = fitted(rows, columns, bins, pairs=columns)
        print(f"| {rows} | {columns} | {bins} | {seconds:.1f} | {gigabytes():.2f} | {len(fit.terms)} |", flush=True)
        assert fit.kkt <= 1e-5


def test_large():
    fit, seconds = fitted(ROWS, COLUMNS, pairs=None if PAIRS is None else int(PAIRS))
    print(f"\n{ROWS} rows x {COLUMNS} columns: {seconds / 60:.1f} min, {gigabytes():.2f} GB, {len(fit.terms)} terms")
    assert fit.kkt <= 1e-5
    assert gigabytes() < LIMIT
