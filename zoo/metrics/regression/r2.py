"""R2: the share of the variance of y that the predictions explain.

Source: Wright, Correlation and Causation, Journal of Agricultural Research 1921.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.metrics.regression._regression_score import RegressionScore
from zoo.registry import register


@register
class R2(RegressionScore):
    """Coefficient of determination: 1 is perfect, 0 as good as the mean of the scored samples.

    Example:
        >>> score = R2()
        >>> score.update(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([1.0, 2.0, 3.0]))
        >>> float(score.compute()["r2"])
        0.5
    """

    title = "R2"
    meaning = "share of the variance of the target that is explained"
    protocol = "r2"
    intervals = {"r2": ("", -torch.inf, 1)}

    def compute(self) -> dict[str, Tensor]:
        """R2 and that of the mean predictor."""
        n = self.samples.double()
        variation = self.centered_squared - self.centered.square() / n
        return {
            "r2": 1 - self.squared / variation,
            self.baseline_name: 1 - self.centered_squared / variation,
            "support": self.samples,
        }
