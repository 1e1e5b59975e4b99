"""MAE: the mean absolute error, in units of y.

Source: Willmott, Matsuura, Advantages of the Mean Absolute Error (MAE) over the Root Mean Square Error (RMSE), Climate
Research 2005.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.metrics.regression._regression_score import RegressionScore
from zoo.registry import register


@register
class Mae(RegressionScore):
    """Mean absolute error, in units of y.

    Example:
        >>> score = Mae()
        >>> score.update(torch.tensor([[1.0], [5.0]]), torch.tensor([1.0, 1.0]))
        >>> float(score.compute()["mae"])
        2.0
    """

    title = "MAE"
    meaning = "mean absolute error, in units of the target"
    protocol = "mae"
    higher_is_better = False
    intervals = {"mae": ("", 0, torch.inf)}

    def compute(self) -> dict[str, Tensor]:
        """MAE and that of the mean predictor."""
        n = self.samples.double()
        return {
            "mae": self.absolute / n,
            self.baseline_name: self.centered_absolute / n,
            "support": self.samples,
        }
