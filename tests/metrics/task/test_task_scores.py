"""Scores of classes and labels against scikit-learn and torchmetrics, and the majority predictor beside them."""

import math

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from torchmetrics.functional import classification as tm

from zoo.metrics import Accuracy, BootstrapInterval, ConfusionMatrix, RiskCoverageArea
from zoo.metrics.task._curves import weighted_auroc, weighted_average_precision
from zoo.registry import SCORES
from zoo.task import Classification, MultiLabel

N = 400
TOLERANCE = 1e-6  # torchmetrics computes areas in float32
G = torch.Generator().manual_seed(3)


def classes(c, n=N, sharp=1.5):
    """Logits, rounded so that some are equal, and classes that follow them; of rare classes there are few."""
    logits = (torch.randn(n, c, generator=G) * sharp - torch.arange(c) * 0.7).round(decimals=1)
    return logits, torch.distributions.Categorical(logits=logits / 2).sample()


def scored(name, task, logits, y, **arguments):
    score = SCORES.get(name)(task, **arguments)
    for part in torch.arange(len(y)).split(77):
        score.update(logits[part], y[part])
    return {key: value.double().tolist() for key, value in score.compute().items()}


def oracles(c, logits, y):
    """What scikit-learn says of softmax probabilities, by the name of the score."""
    p, t = logits.double().softmax(1).numpy(), y.numpy()
    answer, one = p.argmax(1), np.eye(c)[y.numpy()]
    ranked, hot = (p[:, 1], t) if c == 2 else (p, one)
    mean = {} if c == 2 else {"average": "macro"}
    brier = ((p[:, 1] - t) ** 2).mean() if c == 2 else ((p - one) ** 2).sum(1).mean()
    return {
        "balanced_accuracy": sk.balanced_accuracy_score(t, answer),
        "macro_f1": sk.f1_score(t, answer, average="macro"),
        "log_loss": sk.log_loss(t, p, labels=range(c)),
        "brier": brier,
        "auroc": sk.roc_auc_score(hot, ranked, **mean),
        "average_precision": sk.average_precision_score(hot, ranked, **mean),
    }


@pytest.mark.parametrize("c", [2, 3, 7])
def test_classes_against_scikit_learn(c):
    logits, y = classes(c)
    for name, expected in oracles(c, logits, y).items():
        assert scored(name, Classification(c), logits, y)[name] == pytest.approx(expected, abs=TOLERANCE), name
    if c == 2:
        expected = sk.brier_score_loss(y.numpy(), logits.double().softmax(1)[:, 1].numpy())
        assert scored("brier", 2, logits, y)["brier"] == pytest.approx(expected)


@pytest.mark.parametrize("c", [2, 5])
def test_classes_against_torchmetrics(c):
    """Equal logits among them: of several highest ones the first class is the answer."""
    logits, y = classes(c)
    assert bool((logits.sort(1, descending=True).values.diff(dim=1)[:, 0] == 0).any())
    answer = logits.argmax(1)
    expected = {
        "accuracy": tm.multiclass_accuracy(logits, y, c, average="micro"),
        "balanced_accuracy": tm.multiclass_accuracy(logits, y, c, average="macro"),
        "macro_f1": tm.multiclass_f1_score(logits, y, c, average="macro"),
        "confusion_matrix": tm.multiclass_recall(logits, y, c, average="none").min(),
    }
    for name, value in expected.items():
        first = next(iter(scored(name, Classification(c), logits, y).values()))
        assert first == pytest.approx(float(value), abs=TOLERANCE), name
    found = scored("accuracy", Classification(c), logits, y)
    assert found["accuracy"] == float((answer == y).double().mean())
    cross_entropy = torch.nn.functional.cross_entropy(logits.double(), y)
    assert found["cross_entropy"] == pytest.approx(float(cross_entropy), rel=1e-12)


def test_accuracy_of_large_logits():
    """The cross-entropy neither overflows nor loses the small differences of large logits."""
    logits, y = torch.tensor([[1e30, 0.0], [88.0, 89.0], [-700.0, 700.0]]), torch.tensor([1, 0, 1])
    found = scored("accuracy", Classification(2), logits, y)
    assert found["accuracy"] == pytest.approx(1 / 3)
    expected = torch.nn.functional.cross_entropy(logits.double(), y)
    assert found["cross_entropy"] == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("c", [2, 5])
def test_calibration_error_against_torchmetrics(c):
    logits, y = classes(c)
    p = logits.double().softmax(1)
    expected = tm.binary_calibration_error(p[:, 1], y) if c == 2 else tm.multiclass_calibration_error(p, y, c)
    found = scored("calibration_error", c, logits, y)["calibration_error"]
    assert found == pytest.approx(float(expected), abs=TOLERANCE)


def test_labels_against_scikit_learn():
    logits = (torch.randn(N, 3, generator=G) * 2 - torch.tensor([0.0, 1.0, 2.0])).round(decimals=1)
    y = (torch.rand(N, 3, generator=G) < torch.sigmoid(logits / 2)).float()
    p, t = torch.sigmoid(logits.double()).numpy(), y.numpy()
    answer = logits.numpy() >= 0
    expected = {
        "label_accuracy": 1 - sk.hamming_loss(t, answer),
        "macro_f1": sk.f1_score(t, answer, average="macro"),
        "auroc": sk.roc_auc_score(t, p, average="macro"),
        "average_precision": sk.average_precision_score(t, p, average="macro"),
        "log_loss": np.mean([sk.log_loss(t[:, i], p[:, i]) for i in range(3)]),
        "brier": np.mean([sk.brier_score_loss(t[:, i], p[:, i]) for i in range(3)]),
        "calibration_error": float(tm.binary_calibration_error(torch.tensor(p).flatten(), y.flatten().long())),
    }
    for name, value in expected.items():
        assert scored(name, MultiLabel(3), logits, y)[name] == pytest.approx(value, abs=TOLERANCE), name
    assert scored("label_accuracy", MultiLabel(3), logits, y)["exact match"] == sk.accuracy_score(t, answer)
    some = y.clone()
    some[:50, 1] = math.nan  # as if these samples were not there for the label
    alone = np.mean([sk.roc_auc_score(t[k:, i], p[k:, i]) for i, k in enumerate((0, 50, 0))])
    assert scored("auroc", MultiLabel(3), logits, some)["auroc"] == pytest.approx(alone, abs=TOLERANCE)


@pytest.mark.parametrize("c", [2, 4])
def test_the_majority_predictor_is_scored_like_a_model(c):
    """Beside each score: what it gives for a model whose logits are the logarithms of the training frequencies."""
    logits, y = classes(c)
    counts = tuple(range(10, 10 + c))
    constant = torch.tensor(counts).double().log().expand(N, c)
    task = Classification(c, counts=counts)
    for name in (*oracles(c, logits, y), "calibration_error"):
        beside = scored(name, task, logits, y)["majority predictor"]
        assert beside == pytest.approx(scored(name, task, constant, y)[name], abs=TOLERANCE), name
    beside = scored("accuracy", task, logits, y)["majority predictor"]
    assert beside == scored("accuracy", task, constant, y)["accuracy"] == float((y == c - 1).double().mean())


def test_labels_that_are_seldom_present_are_never_predicted_by_the_majority():
    y = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    logits = torch.zeros(4, 2)
    assert scored("label_accuracy", MultiLabel(2), logits, y)["majority predictor"] == 0.75
    assert scored("macro_f1", MultiLabel(2), logits, y)["majority predictor"] == pytest.approx((6 / 7 + 0) / 2)


def test_a_table_of_97_to_3_is_visible():
    """A model that finds none of the rare class: what each row of the table says."""
    y = torch.tensor([0] * 97 + [1] * 3)
    logits = torch.stack([torch.full((100,), 2.0), torch.linspace(-1, 0, 100)], 1)
    task = Classification(2, counts=(970, 30))
    confusion = ConfusionMatrix(task, ("well", "ill"))
    confusion.update(logits, y)
    values = confusion.compute()
    assert float(values["lowest recall"]) == 0
    assert values["table/confusion matrix"].tolist() == [[97, 0], [3, 0]]
    remark = confusion.remark(0.0, {"classes never found": 1})
    assert remark == "WARNING: class 'ill': 0 of 3 found"
    accuracy = Accuracy(task)
    accuracy.update(logits, y)
    values = {key: float(value) for key, value in accuracy.compute().items()}
    assert (values["accuracy"], values["majority predictor"]) == (0.97, 0.97)
    assert accuracy.remark(0.97, values) == "WARNING: always giving the most frequent class has an accuracy of 0.97"
    assert accuracy.remark(0.98, values) == ""
    assert scored("balanced_accuracy", task, logits, y)["balanced_accuracy"] == 0.5


def test_confusion_matrix_against_scikit_learn():
    logits, y = classes(4)
    found = scored("confusion_matrix", 4, logits, y)
    answer = logits.argmax(1)
    assert found["table/confusion matrix"] == sk.confusion_matrix(y, answer, labels=range(4)).tolist()
    assert found["lowest recall"] == sk.recall_score(y, answer, average=None).min()
    labels = (torch.rand(60, 2, generator=G) > 0.5).float()
    logits = torch.randn(60, 2, generator=G)
    expected = sk.multilabel_confusion_matrix(labels, logits >= 0).reshape(2, 4).tolist()
    assert scored("confusion_matrix", MultiLabel(2), logits, labels)["table/confusion matrix"] == expected
    labels[:10, 1] = math.nan  # as if these samples were not there for the label
    expected[1] = sk.confusion_matrix(labels[10:, 1], logits[10:, 1] >= 0).flatten().tolist()
    assert scored("confusion_matrix", MultiLabel(2), logits, labels)["table/confusion matrix"] == expected


def test_scores_follow_threshold_and_temperature():
    logits, y = classes(2)
    task = Classification(2, temperature=2.5, threshold=0.2)
    p = (logits.double() / 2.5).softmax(1)[:, 1].numpy()
    decided = p >= 0.2
    assert scored("accuracy", task, logits, y)["accuracy"] == sk.accuracy_score(y, decided)
    assert scored("balanced_accuracy", task, logits, y)["balanced_accuracy"] == sk.balanced_accuracy_score(y, decided)
    assert scored("log_loss", task, logits, y)["log_loss"] == pytest.approx(sk.log_loss(y, p))


def test_weighted_areas_are_those_of_repeated_samples():
    scores = torch.rand(60, generator=G).round(decimals=1).double()
    truth = torch.rand(60, generator=G) < 0.4
    weight = torch.randint(0, 3, (60, 5), generator=G)
    for area, oracle in (
        (weighted_auroc, sk.roc_auc_score),
        (weighted_average_precision, sk.average_precision_score),
    ):
        for r, value in enumerate(area(scores, truth, weight.double()).tolist()):
            again = torch.arange(60).repeat_interleave(weight[:, r])
            assert value == pytest.approx(oracle(truth[again], scores[again]), abs=1e-12)


@pytest.mark.parametrize(
    "name", ["auroc", "balanced_accuracy", pytest.param("average_precision", marks=pytest.mark.slow)]
)
def test_intervals_cover(name):
    """Of 30 draws of 150 samples, the interval holds the value of the population about 95 times in 100."""
    logits, y = classes(3, n=40_000)
    whole = scored(name, 3, logits, y)[name]
    held = 0
    for draw in range(30):
        part = torch.randint(0, 40_000, (150,), generator=torch.Generator().manual_seed(draw))
        score = SCORES.get(name)(3)
        if score.intervals:
            score = BootstrapInterval(score)
            score.update(logits[part], y[part], sample_ids=torch.arange(150) + 1000 * draw)
        else:
            score.update(logits[part], y[part], index=torch.arange(150) + 1000 * draw)
        values = score.compute()
        held += bool(values[f"{name} low"] <= whole <= values[f"{name} high"])
    assert held >= 25  # fewer by chance once in 300 times


def test_ranks_of_one_sequence_are_drawn_together():
    """Every sample three times: as sequences of three the interval is that of the samples alone, else narrower."""
    logits, y = classes(2, n=60)
    widths = {}
    for name, times, sequence in (("alone", 1, None), ("sequences", 3, torch.arange(60)), ("samples", 3, None)):
        score = SCORES.get("auroc")(2)
        rows = torch.arange(60).repeat_interleave(times)
        given = None if sequence is None else sequence.repeat_interleave(times)
        score.update(logits[rows], y[rows], torch.arange(len(rows)), given)
        values = score.compute()
        widths[name] = float(values["auroc high"] - values["auroc low"])
    assert widths["sequences"] == pytest.approx(widths["alone"])
    assert widths["samples"] < 0.8 * widths["alone"]


def test_risk_and_coverage():
    logits, y = classes(3)
    task = Classification(3)
    curve = task.risk_coverage(logits, y)
    score = RiskCoverageArea(Classification(3, abstain_below=0.6))
    score.update(logits, y)
    found = {key: value.tolist() for key, value in score.compute().items()}
    confidence, wrong = logits.double().softmax(1).max(1).values, (logits.argmax(1) != y).double()
    assert found["risk_coverage"] == pytest.approx(curve.area)
    assert found["random abstention"] == pytest.approx(float(wrong.mean()))
    assert found["coverage"] == float((confidence >= 0.6).double().mean())
    assert found["risk"] == pytest.approx(float(wrong[confidence >= 0.6].mean()))
    for step, risk in enumerate(found["curve/error rate"], 1):
        threshold = confidence.sort(descending=True).values[math.ceil(step * N / 20) - 1]
        assert risk == pytest.approx(float(wrong[confidence >= threshold].mean()))


def test_classes_that_do_not_occur():
    logits, y = classes(3)
    kept = y < 2
    found = scored("auroc", 3, logits[kept], y[kept])["auroc"]
    p = logits[kept].double().softmax(1).numpy()
    expected = np.mean([sk.roc_auc_score(y[kept] == k, p[:, k]) for k in (0, 1)])
    assert found == pytest.approx(expected, abs=TOLERANCE)
    assert math.isnan(scored("auroc", 3, logits[y == 1], y[y == 1])["auroc"])
    with pytest.raises(ValueError, match="auroc.y of input 1 holds 3; expected classes 0 to 2"):
        scored("auroc", 3, logits[:2], torch.tensor([0, 3]))


RANKINGS = {"auroc": sk.roc_auc_score, "average_precision": sk.average_precision_score}


def few_of_each(classes, each):
    g = torch.Generator().manual_seed(classes)
    y = torch.arange(classes).repeat_interleave(each)
    logits = torch.randn(len(y), classes, generator=g) + 2.5 * torch.nn.functional.one_hot(y, classes)
    return logits.double(), y


@pytest.mark.parametrize("name", RANKINGS)
def test_a_replicate_without_some_classes_counts_the_others(name):
    logits, y = few_of_each(5, 3)
    score = SCORES.get(name)(Classification(5))
    weight = torch.poisson(torch.ones(15, 40), torch.Generator().manual_seed(1))
    columns = [(logits[:, c], y == c, torch.ones(15).bool()) for c in range(5)]
    means = score._means(columns, weight)
    slow = []
    for w in weight.T:
        kept = [c for c in range(5) if w[y == c].sum() > 0 and w[y != c].sum() > 0]
        slow.append(np.mean([RANKINGS[name](y == c, logits[:, c], sample_weight=w) for c in kept]))
    assert any(w[y == c].sum() == 0 for w in weight.T for c in range(5))
    np.testing.assert_allclose(means, slow, atol=1e-12)


@pytest.mark.parametrize("name", RANKINGS)
def test_the_interval_of_many_classes_of_three_inputs_rests_on_all_replicates(name):
    logits, y = few_of_each(120, 3)
    score = SCORES.get(name)(Classification(120))
    score.update(logits, y)
    found = {key: float(value) for key, value in score.compute().items()}
    assert found[f"{name} low"] < found[name] < found[f"{name} high"]
    assert 0.002 < found[f"{name} high"] - found[f"{name} low"] < 0.3
