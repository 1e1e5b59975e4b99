"""RMSE: the root of the mean squared error, in units of y.

Source: Willmott, Matsuura, Advantages of the Mean Absolute Error (MAE) over the Root Mean Square Error (RMSE), Climate
Research 2005.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.metrics.regression._regression_score import RegressionScore
from zoo.registry import register


@register
class Rmse(RegressionScore):
    """Root mean squared error, in units of y.

    Example:
        >>> score = Rmse()
        >>> score.update(torch.tensor([[1.0], [5.0]]), torch.tensor([1.0, 1.0]))
        >>> round(float(score.compute()["rmse"]), 3)
        2.828
    """

    title = "RMSE"
    meaning = "root of the mean squared error, in units of the target"
    protocol = "rmse"
    higher_is_better = False
    intervals = {"rmse": ("", 0, torch.inf)}

    def compute(self) -> dict[str, Tensor]:
        """RMSE and that of the mean predictor."""
        n = self.samples.double()
        return {
            "rmse": (self.squared / n).sqrt(),
            self.baseline_name: (self.centered_squared / n).sqrt(),
            "support": self.samples,
        }
