"""Directions of a feature space that separate samples with a concept from samples without it.

Kim et al., Interpretability Beyond Feature Attribution (TCAV), ICML 2018; Yuksekgonul et al., Post-hoc Concept
Bottleneck Models, ICLR 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def concept_vector(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    samples: int,
    penalties: Sequence[float],
    holdout: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, float, float]:
    """Fit a linear SVM and return its unit vector, its offset and its held-out balanced accuracy.

    The signed distance of features h from the decision boundary is ``vector @ h + offset``.

    Args:
        features: ``(n, d)``.
        labels: ``(n,)`` bool.
        samples: largest number of fitted samples with the concept, and of those without; 0 for all.
        penalties: values of C; the one with the largest held-out balanced accuracy is used.
        holdout: share of the samples that are held out.
        rng: draws them.

    Returns:
        ``(d,)``, offset, accuracy; a zero vector and 0.5 for labels of one kind.

    Example:
        >>> h = np.array([[0.0, 5], [1, 2], [0.2, 1], [1.2, 4], [0.1, 3], [1.1, 0]])
        >>> vector, offset, accuracy = concept_vector(
        ...     h, h[:, 0] > 0.5, samples=0, penalties=[1.0], holdout=0.34, rng=np.random.default_rng(0)
        ... )
        >>> bool(vector[0] > 0.9), accuracy
        (True, 1.0)
    """
    from sklearn.svm import LinearSVC

    fitted, held = [], []
    for value in (True, False):
        rows = rng.permutation(np.flatnonzero(labels == value))
        number = max(1, round(holdout * len(rows)))
        held.append(rows[:number])
        fitted.append(rows[number:][: samples or None])
    if min(map(len, fitted)) == 0:
        return np.zeros(features.shape[1]), 0.0, 0.5
    rows = np.concatenate(fitted)
    mean, std = features[rows].mean(0), features[rows].std(0)
    std = np.where(std > 0, std, 1.0)
    standard = (features - mean) / std
    best: tuple[float, Any] = (-1.0, None)
    for penalty in penalties:
        svm = LinearSVC(C=penalty, class_weight="balanced", max_iter=5000, random_state=0, dual="auto")
        svm.fit(standard[rows], labels[rows])
        accuracy = float(np.mean([np.equal(svm.predict(standard[part]), labels[part]).mean() for part in held]))
        if accuracy > best[0]:
            best = (accuracy, svm)
    accuracy, svm = best
    vector = svm.coef_[0] / std
    offset = float(svm.intercept_[0]) - float(vector @ mean)
    norm = float(np.linalg.norm(vector)) or 1.0
    return vector / norm, offset / norm, accuracy


def calibration(margins: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return slope and shift of the logistic regression of labels ``(n,)`` on margins ``(n,)`` (Platt scaling).

    Example:
        >>> slope, shift = calibration(np.array([-1.0, -0.5, 0.5, 1.0]), np.array([False, False, True, True]))
        >>> bool(slope > 0), abs(shift) < 1e-6
        (True, True)
    """
    from sklearn.linear_model import LogisticRegression

    scale = float(margins.std())
    if labels.all() or not labels.any() or scale == 0:
        rate = (labels.sum() + 1) / (len(labels) + 2)
        return 0.0, float(np.log(rate / (1 - rate)))
    model = LogisticRegression(C=100.0).fit(margins[:, None] / scale, labels)
    return float(model.coef_[0, 0]) / scale, float(model.intercept_[0])
