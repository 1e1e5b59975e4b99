"""Risk and coverage: how much the error rate falls where the model abstains from its least confident answers.

Source: Geifman, El-Yaniv, Selective Classification for Deep Neural Networks, NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from zoo.metrics.base import Record
from zoo.metrics.task._answered import Answered
from zoo.metrics.task._task_score import TaskScore
from zoo.registry import register
from zoo.task import Classification, MultiLabel, Task
from zoo.task.risk import risk_coverage_of

STEPS = 20  # points of the curve


@register
class RiskCoverageArea(TaskScore):
    """Area under the error rate as a function of the share of inputs that are answered, most confident first.

    ``coverage`` and ``risk`` are those of the model's own threshold of abstention. Abstaining at random keeps the error
    rate, which therefore is the area of the control.

    Example:
        >>> score = RiskCoverageArea(2)
        >>> score.update(torch.tensor([[3.0, 0.0], [0.0, 0.5]]), torch.tensor([0, 0]))
        >>> float(score.compute()["risk_coverage"])
        0.25
    """

    title = "Risk at coverage"
    meaning = "mean error rate of the most confident answers, over all shares of inputs answered"
    protocol = "aurc"
    no_interval = "it depends on the order of all samples"
    higher_is_better = False
    axes = {"error rate": ("share of inputs answered, in steps of 5 %", "error rate")}
    baseline_name = "random abstention"
    confidence: list[Tensor]
    wrong: list[Tensor]

    def __init__(self, task: Task | int, names: Sequence[str] = ()) -> None:
        super().__init__(task, names)
        self._rows("confidence")
        self._rows("wrong")

    def _add_answers(self, answered: Answered) -> None:
        wrong = ((answered.truth != answered.decision) & answered.known).any(1).double()
        task = self.task
        if isinstance(task, Classification):
            confidence = task.confidence(answered.probabilities, answered.decision.long().argmax(1))
        else:
            assert isinstance(task, MultiLabel)
            wrong = ((answered.truth != answered.decision) & answered.known).double().sum(1)
            wrong = wrong / answered.known.sum(1).clamp_min(1)
            confidence = task.confidence(answered.probabilities, answered.decision)
        self.confidence.append(confidence)
        self.wrong.append(wrong)

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        self.update(record.explanation.logits, record.batch.targets)

    def compute(self) -> dict[str, Tensor]:
        """The area, the error rate of all answers, coverage and risk of the model's threshold, and the curve."""
        none = torch.tensor(torch.nan, dtype=torch.float64, device=self.device)
        if not int(self.samples):
            return {"risk_coverage": none, self.baseline_name: none, "support": self.samples}
        confidence, wrong = dim_zero_cat(self.confidence), dim_zero_cat(self.wrong)
        curve = risk_coverage_of(confidence, wrong)
        below: float = getattr(self.task, "abstain_below", 0.0)
        kept = confidence >= below
        steps = torch.arange(1, STEPS + 1, device=self.device, dtype=torch.float64) / STEPS
        at = torch.searchsorted(curve.coverage, steps - 1e-12).clamp_max(len(curve.risk) - 1)
        return {
            "risk_coverage": none.new_tensor(curve.area),
            self.baseline_name: wrong.mean(),
            "coverage": kept.double().mean(),
            "risk": wrong[kept].mean(),
            "curve/error rate": curve.risk[at],
            "support": self.samples,
        }
