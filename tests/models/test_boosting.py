"""Gradient boosting: trees as tensors equal to scikit-learn, also with missing cells, three tasks, a reload."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

import zoo
from zoo.batch import Batch
from zoo.task import Classification, Regression


@torch.no_grad()
@pytest.mark.parametrize("classes", [1, 2, 3])
def test_equals_scikit_learn(classes):
    g = np.random.default_rng(0)
    x = g.normal(size=(300, 4)).round(1)
    x[g.random(x.shape) < 0.1] = np.nan
    z = np.nan_to_num(x[:, 0]) + np.where(np.isnan(x[:, 1]), 1.0, 0.0) + g.normal(0, 0.3, 300)
    y = z if classes == 1 else np.digitize(z, np.quantile(z, np.arange(1, classes) / classes))
    weights = g.uniform(0.5, 2, 300)
    task = Regression() if classes == 1 else Classification(classes)
    model = zoo.create_model("boosting", num_classes=classes, input_shape=[4], task=task).eval()
    target = torch.from_numpy(y).float() if classes == 1 else torch.from_numpy(y).long()
    batch = Batch(torch.from_numpy(x), target, torch.arange(300), weight=torch.from_numpy(weights))
    figures = model.fit_trees([batch], max_iter=15)
    assert figures["trees"] == 15 * (3 if classes == 3 else 1)
    kind = HistGradientBoostingRegressor if classes == 1 else HistGradientBoostingClassifier
    other = kind(max_iter=15, random_state=0, early_stopping=False, categorical_features=None)
    other.fit(x, target.double().numpy(), sample_weight=weights)
    rows = np.concatenate([x, [[np.nan] * 4, [1e9] * 4, [-1e9] * 4]])
    logits = model(torch.from_numpy(rows))
    if classes == 1:
        np.testing.assert_allclose(logits[:, 0], other.predict(rows), atol=1e-10)
    else:
        np.testing.assert_allclose(logits.softmax(1), other.predict_proba(rows), atol=1e-10)
    again = zoo.create_model("boosting", **model.hparams, task=task).eval()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(torch.from_numpy(rows)), logits)
