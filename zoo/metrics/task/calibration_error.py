"""Expected calibration error: how far confidences are from the share of correct answers.

Source: Naeini, Cooper, Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.metrics.base import count
from zoo.metrics.task._answered import Answered
from zoo.metrics.task._task_score import TaskScore
from zoo.registry import register
from zoo.task import Classification, Task


@register
class CalibrationError(TaskScore):
    """Mean over bins of equal width of |mean confidence - share correct|, weighted by the samples of the bin.

    The same as torchmetrics' ``CalibrationError(norm="l1")``: of two classes the confidence is the probability of the
    second one, of more classes that of the most probable; labels are taken together.

    Args:
        task: what the model answers, or the number of its classes.
        names: of the classes.
        bins: number of bins.

    Example:
        >>> score = CalibrationError(2)
        >>> score.update(torch.tensor([[0.0, 0.0]] * 4), torch.tensor([1, 1, 0, 1]))
        >>> float(score.compute()["calibration_error"])
        0.25
    """

    title = "Calibration error"
    meaning = "mean difference of confidence and share of correct answers, in 15 bins"
    protocol = "ece/bins15"
    higher_is_better = False
    intervals = {"calibration_error": ("", 0, 1)}
    confidence: Tensor
    correct: Tensor
    number: Tensor

    def __init__(self, task: Task | int, names: Sequence[str] = (), *, bins: int = 15) -> None:
        super().__init__(task, names)
        self.bins = count("bins", bins)
        self.protocol = f"ece/bins{bins}"
        for name in ("confidence", "correct", "number"):
            self._sum(name, self.bins, dtype=torch.float64)

    def _add_answers(self, answered: Answered) -> None:
        known = torch.ones(len(answered.y), 1, dtype=torch.bool, device=self.device)
        if self.is_binary:
            confidence, correct = answered.probabilities[:, 1:], answered.truth[:, 1:]
        elif isinstance(self.task, Classification):
            confidence, top = answered.probabilities.max(1, keepdim=True)
            correct = top == answered.y[:, None]
        else:
            confidence, correct, known = answered.probabilities, answered.truth, answered.known
        edges = torch.linspace(0, 1, self.bins + 1, dtype=torch.float64, device=confidence.device)
        at = (torch.bucketize(confidence.contiguous(), edges, right=True) - 1).clamp(0, self.bins - 1)
        for name, rows in (("confidence", confidence), ("correct", correct), ("number", known)):
            self._add(name, torch.where(known, rows.double(), 0.0), at=at)

    def compute(self) -> dict[str, Tensor]:
        """Calibration error and that of the majority predictor."""
        error = (self.confidence - self.correct).abs().sum() / self.number.sum()
        q, n, known = self.frequencies, self.counts.double(), self.known.double()
        if self.is_binary:
            baseline = (q[1] - n[1] / known[1]).abs()
        elif isinstance(self.task, Classification):
            top = q.argmax()
            baseline = (q[top] - n[top] / known[top]).abs()
        else:
            baseline = ((q - n / known).abs() * known).nan_to_num().sum() / known.sum()
        return {"calibration_error": error, self.baseline_name: baseline, "support": self.samples}
