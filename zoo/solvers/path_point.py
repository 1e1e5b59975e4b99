"""One point of an elastic-net path: a sparse linear head."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class PathPoint:
    """The optimum for one penalty.

    Attributes:
        penalty: lambda.
        weight: ``(c, u)`` float64.
        bias: ``(c,)`` float64.
        residual: largest violation of the optimality (KKT) conditions.
    """

    penalty: float
    weight: Tensor
    bias: Tensor
    residual: float

    @property
    def nonzeros_per_class(self) -> float:
        """Mean number of weights of a class that are not 0 (NEC, number of effective concepts)."""
        return float((self.weight != 0).sum(1).double().mean())

    def logits(self, scores: Tensor) -> Tensor:
        """Return the logits ``(n, c)`` of scores ``(n, u)``."""
        return scores.double() @ self.weight.T + self.bias
