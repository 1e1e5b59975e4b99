"""Scores of numbers against scikit-learn, and the mean predictor beside them."""

import math

import pytest
import sklearn.metrics as sk
import torch
from sklearn.dummy import DummyRegressor

from zoo.metrics import BootstrapInterval
from zoo.registry import SCORES
from zoo.task import Regression

G = torch.Generator().manual_seed(5)
Y = torch.randn(300, generator=G) * 2000 + 50_000
PREDICTED = Y[:, None] + torch.randn(300, 1, generator=G) * 900
ORACLES = {
    "r2": sk.r2_score,
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
}


@pytest.mark.parametrize("name", ORACLES)
def test_against_scikit_learn(name):
    train = torch.randn(50, generator=G).numpy() * 2000 + 51_000
    score = SCORES.get(name)(Regression(mean=float(train.mean()), std=2000.0))
    for part in torch.arange(300).split(64):
        score.update(PREDICTED[part], Y[part])
    values = score.compute()
    assert float(values[name]) == pytest.approx(ORACLES[name](Y.double(), PREDICTED[:, 0].double()), rel=1e-6)
    mean = DummyRegressor().fit(train[:, None], train).predict(Y[:, None].numpy())
    assert float(values["mean predictor"]) == pytest.approx(ORACLES[name](Y.double(), mean), rel=1e-5)
    assert int(values["support"]) == 300


@pytest.mark.parametrize("name", ["r2", "rmse"])
def test_intervals_cover(name):
    y = torch.randn(40_000, generator=G)
    predicted = (0.8 * y + 0.4 * torch.randn(40_000, generator=G))[:, None]
    whole = ORACLES[name](y.double(), predicted[:, 0].double())
    held = 0
    for draw in range(30):
        part = torch.randint(0, 40_000, (150,), generator=torch.Generator().manual_seed(draw))
        score = BootstrapInterval(SCORES.get(name)())
        score.update(predicted[part], y[part], sample_ids=torch.arange(150) + 1000 * draw)
        values = score.compute()
        held += bool(values[f"{name} low"] <= whole <= values[f"{name} high"])
    assert held >= 25


def test_a_number_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="rmse.y of input 1 holds nan"):
        SCORES.get("rmse")().update(torch.zeros(2, 1), torch.tensor([0.0, math.nan]))
    with pytest.raises(ValueError, match=r"logits is \(2, 3\); expected \(any, 1\)"):
        SCORES.get("rmse")().update(torch.zeros(2, 3), torch.zeros(2))
