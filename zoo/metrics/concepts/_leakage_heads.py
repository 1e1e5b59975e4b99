"""Heads that are fitted to measure leakage, and whether the head of a model is affine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

AFFINE = 1e-3  # residual, as a share of the spread of the logits, below which they are affine in the strengths
TREES = 200


@dataclass(frozen=True)
class Heads:
    """Classifiers of one kind, fitted on training samples and applied to test samples.

    Attributes:
        linear: whether they are multinomial logistic regressions on standardized inputs, or random forests.
        l2: penalty of the logistic regressions: l2 / 2 times the sum of squared weights, beside the mean loss.
    """

    linear: bool
    l2: float

    def predict(self, train: np.ndarray, y: np.ndarray, test: np.ndarray) -> np.ndarray:
        """Fit on ``(n, m)`` inputs with classes ``(n,)`` and return the classes of ``(b, m)`` inputs.

        Example:
            >>> inputs = np.array([[0.0], [0.0], [1.0], [1.0]])
            >>> Heads(True, 1e-3).predict(inputs, np.array([0, 0, 1, 1]), inputs).tolist()
            [0, 0, 1, 1]
        """
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.linear_model import LogisticRegression

        mean, std = train.mean(0), train.std(0)
        train, test = ((x - mean) / np.where(std > 0, std, 1) for x in (train, test))
        if self.linear:
            head = LogisticRegression(C=1 / (self.l2 * len(train)), max_iter=1000)
        else:
            head = RandomForestClassifier(TREES, random_state=0)
        return head.fit(train, y).predict(test)


def shuffled_concepts(
    train: np.ndarray, test: np.ndarray, concepts: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return concepts of train and test samples learned by ridge regression from features, with labels of others.

    Args:
        train: ``(n, d)`` features.
        test: ``(b, d)`` features.
        concepts: ``(n, m)`` labels, without unknown ones.
        seed: of the permutation of the samples.
    """
    from sklearn.linear_model import Ridge

    order = np.random.default_rng(seed).permutation(len(train))
    mean, std = train.mean(0), train.std(0) + 1e-8
    train, test = (train - mean) / std, (test - mean) / std
    regression = Ridge(1.0).fit(train, concepts[order])
    first, second = (regression.predict(x).reshape(len(x), -1) for x in (train, test))
    return first, second


def is_affine(strength: np.ndarray, logits: np.ndarray) -> bool:
    """Return whether logits are affine in strengths, as far as these samples show; False if they are too few.

    Example:
        >>> strength = np.linspace(-1, 1, 8)[:, None]
        >>> is_affine(strength, 2 * strength + 1), is_affine(strength, strength**2)
        (True, False)
    """
    n, m = strength.shape
    if n < 2 * (m + 1):
        return False
    std = strength.std(0)
    x = np.concatenate([(strength - strength.mean(0)) / np.where(std > 0, std, 1), np.ones((n, 1))], 1)
    residual = logits - x @ np.linalg.lstsq(x, logits, rcond=None)[0]
    return bool(np.sqrt((residual**2).mean()) <= AFFINE * max(float(logits.std()), 1e-12))
