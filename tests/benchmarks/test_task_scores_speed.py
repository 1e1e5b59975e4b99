"""Task scores of 1000 classes beside torchmetrics: pytest -m benchmark -s tests/benchmarks/test_task_scores_speed.py.

CPU milliseconds of a score of one batch of 256 (reset, update, compute) on one thread. ``accuracy`` gives the
cross-entropy in double precision as well: it is compared with torchmetrics' accuracy and torch's cross-entropy. Ours
refuse logits that are not finite and compute in double precision.
"""

import time

import pytest
import torch
from torch.nn.functional import cross_entropy
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
)

from zoo.registry import SCORES
from zoo.task import Classification

CLASSES, BATCH, ROUNDS = 1000, 256, 40
CASES = {
    "accuracy": (MulticlassAccuracy, {"average": "micro"}),
    "balanced_accuracy": (MulticlassAccuracy, {"average": "macro"}),
    "macro_f1": (MulticlassF1Score, {"average": "macro"}),
    "confusion_matrix": (MulticlassConfusionMatrix, {}),
    "calibration_error": (MulticlassCalibrationError, {"n_bins": 15}),
}
SLOWER = 1.5  # times the reference at most
IN_DOUBLE = {"calibration_error": 3.0}  # the same where a softmax in double precision is most of the work

pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("ignore")]


def taken(*runs):
    """CPU milliseconds of each, taking turns; the best of all rounds."""
    seconds = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, taken in zip(runs, seconds, strict=True):
            start = time.process_time()
            run()
            taken.append(time.process_time() - start)
    return [1000 * min(times) for times in seconds]


def score_once(score, logits, y):
    score.reset()
    score.update(logits, y)
    return score.compute()


@pytest.mark.parametrize("name", CASES)
def test_a_score_of_1000_classes(name):
    g = torch.Generator().manual_seed(0)
    logits, y = torch.randn(BATCH, CLASSES, generator=g), torch.randint(CLASSES, (BATCH,), generator=g)
    cls, arguments = CASES[name]
    score = SCORES.get(name)(Classification(CLASSES))
    reference = cls(CLASSES, validate_args=False, **arguments)

    def by_reference():
        if name == "accuracy":
            cross_entropy(logits.double(), y)
        return score_once(reference, logits, y)

    ours, theirs, alone = taken(
        lambda: score_once(score, logits, y), by_reference, lambda: score_once(reference, logits, y)
    )
    print(f"\n{name}: zoo {ours:.2f} ms, reference {theirs:.2f} ms ({ours / theirs:.2f}x); torchmetrics {alone:.2f} ms")
    assert ours < IN_DOUBLE.get(name, SLOWER) * theirs
