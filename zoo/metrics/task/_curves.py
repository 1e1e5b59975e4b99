"""The base class of scores of rankings, and areas under their curves in many bootstrap replicates at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from zoo.metrics.base import Record
from zoo.metrics.task._answered import Answered
from zoo.metrics.task._task_score import TaskScore
from zoo.metrics.wrappers._estimates import Estimate
from zoo.metrics.wrappers._weighted_sums import poisson
from zoo.task import Task

REPLICATES = 200
FEWEST = 20  # replicates of an interval; where even these are too much work, there is none
WORK = 200_000_000  # samples x classes x replicates at most
MEMORY = 4_000_000  # samples x replicates held at a time


class RankingScore(TaskScore):
    """A score of the order of the inputs by the probability of each class, one against the rest, mean over classes.

    It keeps all probabilities: exact, and meant for up to 100 classes. Its interval (``zoo-interval-v2``) is computed
    from Poisson bootstrap replicates, as those of ``BootstrapInterval``; classes without both kinds of inputs are left
    out, of a replicate those without both in it. Its degrees of freedom are those of the rarer kind of inputs, the mean
    over classes.

    Attributes:
        key: name of the headline.
        exact: area for scores ``(n,)`` in 0..1 and truth ``(n,)`` int64, by torchmetrics.
        area: weighted areas ``(r,)`` of scores ``(n,)``, truth ``(n,)`` bool and weights ``(n, r)``.
    """

    inputs = {"logits": "finite", "y": "class", "index": "ids", "sequence": "any"}
    no_interval = "it has one of its own"
    key: ClassVar[str]
    exact: ClassVar[Callable[[Tensor, Tensor], Any]]
    area: ClassVar[Callable[[Tensor, Tensor, Tensor], Tensor]]
    scores: list[Tensor]
    truth: list[Tensor]
    ids: list[Tensor]
    clusters: list[Tensor]

    def __init__(self, task: Task | int, names: Sequence[str] = ()) -> None:
        super().__init__(task, names)
        self._rows("scores")
        self._rows("truth")
        self._rows("ids")
        self._rows("clusters")

    def update(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, logits: Tensor, y: Tensor, index: Tensor | None = None, sequence: Tensor | None = None
    ) -> None:
        """Add a batch.

        Args:
            logits: ``(b, c)``.
            y: ``(b,)`` int64 true class, or ``(b, c)`` labels, NaN where unknown.
            index: ``(b,)`` int64 identity of each sample, for the interval; None to count them.
            sequence: ``(b,)`` int64 sequence that each sample is a part of, drawn together; None if samples are of
                their own.

        Raises:
            ValueError: if a shape does not fit, a logit is not finite or a class is not one of the logits'.
        """
        start = int(self.samples)
        self._check(index=index)
        super().update(logits, y)
        index = torch.arange(start, start + len(y)) if index is None else index
        self.ids.append(index.to(self.device))
        self.clusters.append((index if sequence is None else sequence).to(self.device))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        self.update(record.explanation.logits, record.batch.targets, record.batch.index, record.batch.sequence)

    def _add_answers(self, answered: Answered) -> None:
        first = 1 if self.is_binary else 0  # of two classes the second is ranked
        self.scores.append(answered.probabilities[:, first:])
        known = torch.where(answered.known, answered.truth.double(), torch.nan)
        self.truth.append(known[:, first:])

    def describe(self, readouts: Mapping[str, float]) -> str:
        """Return the meaning with the class that is ranked, and the value of a constant score."""
        ranked = f"; of {self.output_names[1]!r}" if self.is_binary else ""
        return super().describe(readouts) + ranked

    @abstractmethod
    def _constant(self, share: Tensor) -> Tensor:
        """Return the area ``(c,)`` of a constant score, from the share of right samples ``(c,)``."""

    def compute(self) -> dict[str, Tensor]:
        """The mean area, its interval, and the area of a constant score."""
        none = torch.tensor(torch.nan, dtype=torch.float64, device=self.device)
        key, empty = self.key, {self.key: none, self.baseline_name: none, "support": self.samples}
        if not int(self.samples):
            return empty
        ids = dim_zero_cat(self.ids)
        order = ids.argsort(stable=True)
        scores, truth = dim_zero_cat(self.scores)[order], dim_zero_cat(self.truth)[order]
        clusters = dim_zero_cat(self.clusters)[order]
        judged = ((truth == 1).any(0) & (truth == 0).any(0)).nonzero()[:, 0].tolist()
        if not judged:
            return empty
        columns = [(scores[k, i], truth[k, i] == 1, k) for i in judged for k in [~truth[:, i].isnan()]]
        values = torch.stack([type(self).exact(_ranks(s), t.long()).double() for s, t, _ in columns])
        share = torch.stack([t.double().mean() for _, t, _ in columns])
        out = {key: values.mean(), self.baseline_name: self._constant(share).mean()}
        replicates = min(REPLICATES, WORK // (len(ids) * len(judged)))
        if replicates >= FEWEST:
            total = self._means(columns, poisson(clusters, replicates))
            rarer = [min(len(clusters[k][kind].unique()) for kind in (t, ~t)) for _, t, k in columns]
            count = sum(rarer) // len(rarer)
            low, high = Estimate(out[key], total, lowest=0, highest=1, count=count).interval()
            out |= {f"{key} low": none.new_tensor(low), f"{key} high": none.new_tensor(high)}
        return out | {"support": self.samples}

    def _means(self, columns: Sequence[tuple[Tensor, Tensor, Tensor]], weight: Tensor) -> Tensor:
        """Mean areas ``(r,)`` of all replicates, each over the classes of which it drew both kinds of inputs.

        Of 100 classes with three inputs each hardly any replicate has all; NaN where one has none.
        """
        total, drawn = weight.new_zeros(2, weight.shape[1], dtype=torch.float64)
        for scores, truth, known in columns:
            area = self._replicates(scores, truth, weight[known])
            total += area.nan_to_num()
            drawn += area.isfinite()
        return total / drawn

    def _replicates(self, scores: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
        """Areas ``(r,)`` of all replicates, a few of them at a time."""
        parts = weight.split(max(1, MEMORY // len(scores)), dim=1)
        return torch.cat([type(self).area(scores, truth, part.double()) for part in parts])


def _ranks(scores: Tensor) -> Tensor:
    """Ranks of scores ``(n,)`` in 0..1, which torchmetrics takes as they are; equal scores stay equal."""
    rank = scores.unique(return_inverse=True)[1].double()
    return rank / max(1.0, float(rank.max()))


def _cumulative(scores: Tensor, truth: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weights ``(k, r)`` of right and of wrong samples above each of k different scores, the highest first."""
    order = scores.argsort(descending=True, stable=True)
    scores, truth, weight = scores[order], truth[order, None].double(), weight[order]
    last = torch.ones_like(scores, dtype=torch.bool)
    last[:-1] = scores[1:] < scores[:-1]
    return (weight * truth).cumsum(0)[last], (weight * (1 - truth)).cumsum(0)[last]


def weighted_auroc(scores: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return the area under the ROC curve ``(r,)`` of scores ``(n,)``, truth ``(n,)`` bool and weights ``(n, r)``.

    >>> truth = torch.tensor([True, False, True])
    >>> weighted_auroc(torch.tensor([0.9, 0.5, 0.1]), truth, torch.ones(3, 1).double()).tolist()
    [0.5]
    """
    right, wrong = _cumulative(scores, truth, weight)
    zero = right.new_zeros(1, right.shape[1])
    step = torch.diff(wrong, dim=0, prepend=zero)
    before = torch.cat([zero, right[:-1]])
    return (step * (right + before) / 2).sum(0) / (right[-1] * wrong[-1])


def weighted_average_precision(scores: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return the average precision ``(r,)`` of scores ``(n,)``, truth ``(n,)`` bool and weights ``(n, r)``.

    >>> truth = torch.tensor([True, False, True])
    >>> area = weighted_average_precision(torch.tensor([0.9, 0.5, 0.1]), truth, torch.ones(3, 1))
    >>> round(float(area), 4)
    0.8333
    """
    right, wrong = _cumulative(scores, truth, weight)
    step = torch.diff(right, dim=0, prepend=right.new_zeros(1, right.shape[1]))
    return (step * (right / (right + wrong)).nan_to_num()).sum(0) / right[-1]
