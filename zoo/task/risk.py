"""Abstention: the error rate of the answers that are kept as a function of their share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RiskCoverage:
    """Error rate of the answers that are kept when the least confident ones are withheld.

    Attributes:
        threshold: ``(k,)`` confidences, descending; answers at least as confident are kept.
        coverage: ``(k,)`` share of inputs that are answered.
        risk: ``(k,)`` share of wrong answers among them.
    """

    threshold: Tensor
    coverage: Tensor
    risk: Tensor

    @property
    def area(self) -> float:
        """Area under the risk as a function of the coverage (AURC), a step function; lower is better."""
        width = torch.diff(self.coverage, prepend=self.coverage.new_zeros(1))
        return float((self.risk * width).sum())

    def at_most(self, max_risk: float) -> float:
        """Return the confidence of largest coverage whose risk is low enough.

        Raises:
            ValueError: if no share of the answers has a risk of at most ``max_risk``.
        """
        good = (self.risk <= max_risk).nonzero()[:, 0]
        if not len(good):
            raise ValueError(
                f"no share of the answers has an error rate of at most {max_risk}; the lowest is {self.risk.min():.3g}"
            )
        return float(self.threshold[good[-1]])


def risk_coverage_of(confidence: Tensor, wrong: Tensor) -> RiskCoverage:
    """Return the curve of n answers; answers of equal confidence are kept together.

    Args:
        confidence: ``(n,)``.
        wrong: ``(n,)`` share of each answer that is wrong, in 0..1.

    >>> curve = risk_coverage_of(torch.tensor([0.9, 0.6, 0.8]), torch.tensor([0.0, 1.0, 0.0]))
    >>> curve.risk.tolist() == [0.0, 0.0, 1 / 3]
    True
    """
    confidence, order = confidence.sort(descending=True, stable=True)
    total = wrong[order].double().cumsum(0)
    count = torch.arange(1, len(wrong) + 1, dtype=torch.float64, device=wrong.device)
    last = torch.ones_like(confidence, dtype=torch.bool)
    last[:-1] = confidence[1:] < confidence[:-1]
    return RiskCoverage(confidence[last], (count / len(wrong))[last], (total / count)[last])
