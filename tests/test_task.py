"""Tasks: losses, calibration and decisions against oracles that are written from the definition alone."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from zoo.task import Classification, MultiLabel, Regression, Task, balanced_weights, task_from

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(400, 3, generator=GENERATOR) * 4
Y = torch.distributions.Categorical(logits=LOGITS / 2.5).sample()  # the right temperature is near 2.5


def by_hand(logits, y, weights):
    p = np.exp(logits.double().numpy())
    p /= p.sum(1, keepdims=True)
    w = np.array(weights)[y]
    return float((w * -np.log(p[np.arange(len(y)), y])).sum() / w.sum())


def test_cross_entropy_with_class_and_sample_weights():
    assert float(Classification(3).loss(LOGITS, Y)) == pytest.approx(by_hand(LOGITS, Y, [1, 1, 1]), rel=1e-5)
    weights = (1.0, 2.5, 0.3)
    weighted = Classification(3, weights=weights)
    assert float(weighted.loss(LOGITS, Y)) == pytest.approx(by_hand(LOGITS, Y, weights), rel=1e-5)
    twice = torch.cat([LOGITS, LOGITS[:100]]), torch.cat([Y, Y[:100]])
    sample = torch.ones(400)
    sample[:100] = 2
    assert float(weighted.loss(LOGITS, Y, sample)) == pytest.approx(float(weighted.loss(*twice)), rel=1e-5)
    smooth = Classification(3, smoothing=0.1)
    expected = torch.nn.functional.cross_entropy(LOGITS, Y, label_smoothing=0.1)
    assert float(smooth.loss(LOGITS, Y)) == pytest.approx(float(expected), rel=1e-5)


def test_temperature_has_the_least_log_loss():
    fitted = Classification(3).calibrate(LOGITS, Y)

    def nll(temperature):
        return log_loss(Y.numpy(), torch.softmax(LOGITS.double() / temperature, 1).numpy(), labels=[0, 1, 2])

    best = minimize_scalar(nll, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9})
    assert fitted.temperature == pytest.approx(best.x, rel=1e-4)
    assert 2 < fitted.temperature < 3
    assert nll(fitted.temperature) < nll(1)
    assert fitted.answer(LOGITS).prediction.equal(Classification(3).answer(LOGITS).prediction)
    again = fitted.calibrate(LOGITS, Y)  # from the raw logits, not from what was fitted before
    assert again.temperature == fitted.temperature


@pytest.mark.parametrize("factor", [0.01, 1.0])
def test_temperature_follows_the_scale_of_the_logits(factor):
    """Also of logits that are probabilities, which differ by less than 1."""
    fitted = Classification(3).calibrate(LOGITS * factor, Y).temperature
    assert fitted == pytest.approx(Classification(3).calibrate(LOGITS, Y).temperature * factor, rel=1e-4)


def test_temperature_stops_at_its_ends():
    right = torch.eye(3)[Y] * 5
    assert Classification(3).calibrate(right, Y).temperature == 0.05
    assert Classification(3).calibrate(-right, Y).temperature == 20
    with pytest.raises(ValueError, match="no validation samples"):
        Classification(3).calibrate(LOGITS[:0], Y[:0])
    with pytest.raises(ValueError, match=r"logits of sample 7 are .*expected finite"):
        Classification(3).calibrate(LOGITS.index_fill(0, torch.tensor(7), math.nan), Y)


@pytest.mark.parametrize("costs", [(1, 1), (1, 10), (5, 1), (1, 1000), (1000, 1)])
def test_threshold_has_the_least_cost(costs):
    generator = torch.Generator().manual_seed(1)
    score = torch.randn(300, generator=generator).round(decimals=1)  # with ties
    y = (torch.rand(300, generator=generator) < torch.sigmoid(score * 2)).long()
    logits = torch.stack([-score / 2, score / 2], 1)
    fitted = Classification(2).choose_threshold(logits, y, false_positive=costs[0], false_negative=costs[1])

    def cost(task):
        prediction = task.answer(logits).prediction
        return costs[0] * int(((prediction == 1) & (y == 0)).sum()) + costs[1] * int(
            ((prediction == 0) & (y == 1)).sum()
        )

    everywhere = [cost(Classification(2, threshold=t)) for t in np.linspace(0.0005, 0.9995, 2001)]
    assert cost(fitted) == min(everywhere)


def test_threshold_is_near_the_ideal_where_all_are_equal():
    y = torch.tensor([0, 1])
    logits = torch.tensor([[3.0, -3.0], [-3.0, 3.0]])
    assert Classification(2).choose_threshold(logits, y, false_negative=9).threshold == pytest.approx(0.1)
    with pytest.raises(ValueError, match="decides between two classes; there are 3"):
        Classification(3).choose_threshold(LOGITS, Y)
    with pytest.raises(ValueError, match="the costs are 0 and 1"):
        Classification(2).choose_threshold(logits, y, false_positive=0)


def test_risk_and_coverage():
    probabilities = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4], [0.4, 0.6]]).double()
    y = torch.tensor([0, 1, 1, 0, 0])
    curve = Classification(2).risk_coverage(probabilities.log(), y)
    torch.testing.assert_close(curve.coverage, torch.tensor([0.2, 0.4, 0.6, 1.0]).double())  # 0.6 twice is one step
    torch.testing.assert_close(curve.risk, torch.tensor([0, 1 / 2, 1 / 3, 2 / 5]).double())
    assert curve.area == pytest.approx(0.2 * 0 + 0.2 / 2 + 0.2 / 3 + 0.4 * 0.4)
    task = Classification(2).choose_abstention(probabilities.log(), y, max_risk=0.35)
    answers = task.answer(probabilities.log())
    assert answers.abstained.tolist() == [False, False, False, True, True]
    assert Classification(2).answer(probabilities.log()).abstained is None
    with pytest.raises(ValueError, match=r"error rate of at most 0.1; the lowest is 0.5"):
        Classification(2).choose_abstention(probabilities[1:].log(), y[1:], max_risk=0.1)


def test_weights_are_corrected_in_the_intercept():
    """With an intercept alone, weighted training gives probabilities of the weighted classes; this undoes it."""
    counts = np.array([90, 10])
    y = [0] * 90 + [1] * 10
    weights = balanced_weights(counts.tolist())
    np.testing.assert_allclose(weights, compute_class_weight("balanced", classes=np.arange(2), y=y))
    weighted = np.log(counts * weights / (counts * weights).sum())
    task = Classification(2, weights=weights)
    corrected = task.answer((torch.tensor(weighted) + task.intercept_correction())[None]).probabilities
    np.testing.assert_allclose(corrected[0].numpy(), [0.9, 0.1])
    assert float(task.intercept_correction().mean()) == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match=r"\[3, 0\] samples"):
        balanced_weights([3, 0])


def test_regression():
    y = torch.tensor([10.0, 20.0, 40.0])
    logits = torch.tensor([[12.0], [20.0], [10.0]])
    task = Regression(mean=20.0, std=10.0)
    assert float(task.loss(logits, y)) == pytest.approx((0.2**2 + 0 + 3**2) / 2 / 3)
    assert task.answer(logits).prediction.tolist() == [12, 20, 10]
    huber = Regression(loss_name="huber", delta=1.5, std=10.0)
    assert float(huber.loss(logits, y)) == pytest.approx((0.2**2 / 2 + 0 + 1.5 * (3 - 0.75)) / 3)
    assert float(task.loss(logits, y, torch.tensor([1.0, 1.0, 0.0]))) == pytest.approx(0.2**2 / 2 / 2)


def test_multilabel():
    logits = torch.tensor([[2.0, -1.0], [0.5, 0.0]])
    y = torch.tensor([[1.0, 0.0], [0.0, math.nan]])

    def bce(z, t, w=1.0):
        return -(w * t * math.log(1 / (1 + math.exp(-z))) + (1 - t) * math.log(1 - 1 / (1 + math.exp(-z))))

    expected = ((bce(2, 1) + bce(-1, 0)) / 2 + bce(0.5, 0)) / 2
    assert float(MultiLabel(2).loss(logits, y)) == pytest.approx(expected, rel=1e-5)
    weighted = ((bce(2, 1, 3) + bce(-1, 0)) / 2 + bce(0.5, 0)) / 2
    assert float(MultiLabel(2, weights=(3.0, 1.0)).loss(logits, y)) == pytest.approx(weighted, rel=1e-5)
    unknown = torch.cat([y, torch.full((1, 2), math.nan)])
    assert float(MultiLabel(2).loss(torch.cat([logits, logits[:1]]), unknown)) == pytest.approx(expected, rel=1e-5)
    assert MultiLabel(2).answer(logits).prediction.tolist() == [[True, False], [True, True]]
    picky = MultiLabel(2, thresholds=(0.7, 0.2)).answer(logits).prediction
    assert picky.tolist() == [[True, True], [False, True]]
    fitted = MultiLabel(3).calibrate(
        LOGITS, (torch.rand(400, 3, generator=GENERATOR) < torch.sigmoid(LOGITS / 3)).float()
    )
    assert 2 < fitted.temperature < 4.5


TASKS = [
    Classification(3, weights=(1.0, 2.0, 3.0), temperature=1.7),
    Classification(2, threshold=0.2, abstain_below=0.6),
    Regression("huber", 2.0, 3.0, 4.0),
    MultiLabel(2, thresholds=(0.3, 0.6), weights=(1.0, 2.0)),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_config(task):
    assert task_from(task.to_config()) == task
    assert isinstance(task, Task)
    assert task.metric_names


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_shapes_and_types_are_checked(task):
    logits, y = torch.zeros(4, task.outputs), torch.zeros(4, *task.y_shape, dtype=task.y_dtype)
    assert task.loss(logits, y).ndim == 0
    other = torch.float32 if task.y_dtype == torch.int64 else torch.int64
    for wrong, message in (
        ((logits[:, :0], y), r"logits are \(4, 0\); expected \(n, "),
        ((logits, y[:2]), r"y is \(2"),
        ((logits, y.to(other)), f"y is {other}; expected {task.y_dtype}"),
    ):
        with pytest.raises(ValueError, match=message):
            task.loss(*wrong)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kind": "ranking"}, "kind 'ranking'; expected one of classification"),
        ({}, "kind None"),
        ({"kind": "classification", "classes": 1}, "1 classes"),
        ({"kind": "classification"}, "cannot be built"),
        ({"kind": "classification", "classes": 2, "weights": [1]}, "expected 2 finite numbers above 0"),
        ({"kind": "classification", "classes": 2, "temperature": 0}, "temperature is 0"),
        ({"kind": "classification", "classes": 2, "threshold": 1}, "threshold is 1"),
        ({"kind": "classification", "classes": 3, "threshold": 0.3}, "decides between two alone"),
        ({"kind": "classification", "classes": 3, "smoothing": 1}, "label smoothing"),
        ({"kind": "regression", "std": 0}, "std above 0"),
        ({"kind": "regression", "loss_name": "l1"}, "loss is 'l1'"),
        ({"kind": "multilabel", "labels": 2, "thresholds": [0.5, 1.0]}, "between 0 and 1"),
        ({"kind": "multilabel", "labels": 0}, "0 labels"),
    ],
)
def test_wrong_configs(config, message):
    with pytest.raises(ValueError, match=message):
        task_from(config)
