"""Linear heads on TF-IDF values: all n-grams with a ridge, or a few on an L1 path; chosen on validation texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from torch import Tensor

from zoo.layers.text.sparse_path import refit, sparse_path

INVERSE = (1.0, 3.0, 10.0, 30.0)  # strengths C of the ridge of all n-grams, in scikit-learn's unit
RIDGES = (1e-5, 1e-4, 1e-3)  # strengths of the ridge of chosen units, in units of the mean loss
LARGEST = 8  # choices that are compared
Rows = tuple[csr_matrix, Tensor]  # values (n, u) and classes (n,)
Head = tuple[Tensor, Tensor, Tensor, dict[str, float]]  # units (k,), weights (c, k), bias (c,), figures


def ridge_head(train: Rows, val: Rows) -> Head:
    """Return the head on all units, by scikit-learn's logistic regression; of two classes the score is split in halves.

    Args:
        train: values and classes of the training texts.
        val: of the validation texts.
    """
    from sklearn.linear_model import LogisticRegression

    y, val_y = train[1].numpy(), val[1].numpy()
    fits: list[Any] = [LogisticRegression(C=c, max_iter=2000, tol=1e-6).fit(train[0], y) for c in INVERSE]
    chances = [fit.predict_proba(val[0])[np.arange(len(val_y)), val_y] for fit in fits]
    losses = [float(-np.log(chance + 1e-300).mean()) for chance in chances]
    best = fits[int(np.argmin(losses))]
    weight, bias = (torch.from_numpy(np.asarray(part)) for part in (best.coef_, best.intercept_))
    if len(weight) == 1:
        weight, bias = torch.cat([-weight / 2, weight / 2]), torch.cat([-bias / 2, bias / 2])
    return torch.arange(weight.shape[1]), weight, bias, {"C": float(best.C), "validation loss": min(losses)}


def sparse_head(train: Rows, val: Rows, *, classes: int, max_units: int) -> Head:
    """Return the head on a few units, chosen on an L1 path and fitted again with a ridge.

    Args:
        train: values and classes of the training texts.
        val: of the validation texts.
        classes: c.
        max_units: largest number of units.
    """
    path = sparse_path(train[0], train[1], classes=classes, max_units=max_units)
    results = []
    for step in list({tuple(step.units.tolist()): step for step in path if len(step.units)}.values())[-LARGEST:]:
        dense, val_dense = (torch.from_numpy(rows[0][:, step.units.numpy()].toarray()) for rows in (train, val))
        for l2 in RIDGES:
            weight, bias, residual = refit(dense, train[1], classes=classes, l2=l2)
            loss = float(F.cross_entropy(val_dense @ weight.T + bias, val[1]))
            results.append((loss, step.units, weight, bias, residual))
    loss, units, weight, bias, residual = min(results, key=lambda result: result[0])
    return units, weight, bias, {"validation loss": loss, "kkt residual": residual}
