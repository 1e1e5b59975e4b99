"""Answer agreement: do inputs with the same explanation have the same predicted class?

Source: Dasgupta, Frost, Moshkovitz, Framework for Evaluating Faithfulness of Local Explanations, ICML 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from zoo.metrics.base import Record, Score, count, expect
from zoo.metrics.perturbations.noise import random_bits
from zoo.registry import register


@register
class AnswerAgreement(Score):
    """Share of inputs with the same shown units that have the same predicted class, mean over inputs.

    The units shown are the ``shown`` of largest absolute contribution to the predicted class (of equal ones the lower
    id), without those that contribute nothing; compared as sets. For each input that shares its set with another: the
    share of those others with the same predicted class. It is the global consistency of Dasgupta et al., Framework for
    Evaluating Faithfulness of Local Explanations, ICML 2022, over the samples.

    Further read-outs: ``chance`` the same with all inputs as one set; ``covered`` share of inputs that share their
    set with another; ``sets`` number of different sets. Where all inputs have one set (no more units than are shown),
    the score is ``chance``; where no two have the same set, it is NaN.

    Args:
        num_units: u.
        shown: units of an explanation.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> score = AnswerAgreement(3, shown=1)
        >>> contribution = torch.tensor([[2.0, 1.0, 0.0], [3.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 5.0]])
        >>> score.update(contribution, torch.tensor([0, 0, 1, 1]))  # unit 0 is shown for three inputs
        >>> {name: round(float(score.compute()[name]), 4) for name in ("same", "covered")}
        {'same': 0.3333, 'covered': 0.75}
    """

    title = "Answer agreement"
    meaning = "share of inputs with the same shown units that have the same predicted class"
    chance_readouts = ("chance",)
    requires = frozenset({"units", "decide"})
    inputs = {"contribution": "finite", "answer": "class"}
    protocol = "zoo-same-answer-v1"
    intervals = {"same": ("", 0, 1)}
    rows: list[Tensor]

    def __init__(self, num_units: int, *, shown: int = 3) -> None:
        super().__init__()
        self.num_units, self.shown = count("num_units", num_units), count("shown", shown)
        self.protocol = self._variant(type(self).protocol, shown=self.shown)
        self._rows("rows")

    def update(self, contribution: Tensor, answer: Tensor) -> None:
        """Add a batch.

        Args:
            contribution: ``(b, u)`` to the predicted class.
            answer: ``(b,)`` int64 predicted class.

        Raises:
            ValueError: if a shape does not fit or a contribution is not finite.
        """
        expect("contribution", contribution, None, self.num_units)
        expect("answer", answer, len(contribution))
        self._check(contribution=contribution, answer=answer)
        size = contribution.detach().abs()
        order = size.argsort(dim=1, descending=True, stable=True)[:, : self.shown]
        mark = random_bits(order, draw=0, count=1)[..., 0]  # 64 random bits for each unit; their sum stands for a set
        key = torch.where(size.gather(1, order) > 0, mark, 0).sum(1)
        self.rows.append(torch.stack([key, answer.to(key.device)], 1).to(self.device))
        self._add("samples", torch.ones(len(key), dtype=torch.int64, device=self.device))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        self.update(*record.predicted_contribution)

    def compute(self) -> dict[str, Tensor]:
        """The share and its read-outs; see the class."""
        none = torch.zeros(0, 2, dtype=torch.int64, device=self.device)
        rows = dim_zero_cat(self.rows).to(self.device) if len(self.rows) else none
        sets, of = rows[:, 0].unique(return_inverse=True)
        n, covered = self.samples.double(), (torch.bincount(of) > 1)[of].sum()
        return {
            "same": _alike(of, rows[:, 1]) / covered,
            "chance": _alike(torch.zeros_like(of), rows[:, 1]) / n,
            "covered": covered / n,
            "sets": torch.tensor(len(sets), device=self.device),
            "support": self.samples,
        }

    def resample(self, weights: Tensor) -> dict[str, Tensor]:
        """Replicates of the share; the pairs of a sample with itself do not count."""
        rows = dim_zero_cat(self.rows).to(self.device)
        w = weights.to(self.device).double()
        others, alike = _others(rows[:, :1], w), _others(rows, w)
        share = torch.where(others > 0, alike / others.clamp_min(1), 0)
        return {"same": (w * share).sum(0) / (w * (others > 0)).sum(0)}


def _others(key: Tensor, weights: Tensor) -> Tensor:
    """Return ``(n, r)`` summed weights of the other rows with the same key ``(n, k)``."""
    _, of = key.unique(dim=0, return_inverse=True)
    total = weights.new_zeros(int(of.max()) + 1, weights.shape[1]).index_add_(0, of, weights)
    return total[of] - weights


def _alike(of: Tensor, answer: Tensor) -> Tensor:
    """Sum over inputs, of groups ``of`` ``(n,)``, of the share of the others in the group with the same ``answer``."""
    pairs, number = torch.stack([of, answer], 1).unique(dim=0, return_counts=True)
    others = torch.bincount(of)[pairs[:, 0]] - 1
    return (number * (number - 1) / others.clamp_min(1).double()).sum()
