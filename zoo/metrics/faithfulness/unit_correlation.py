"""Unit correlation: does the logit drop by what a unit contributes when the unit is ablated?

Source: Alvarez-Melis, Jaakkola, Towards Robust Interpretability with Self-Explaining Neural Networks, NeurIPS 2018
(faithfulness as a correlation); ranks and ablation are defined here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.metrics._correlation import spearman
from zoo.metrics._value_checks import check_classes, check_finite
from zoo.metrics.base import count
from zoo.metrics.concepts._policies import Decide
from zoo.metrics.faithfulness._ablation import CHUNK, Ablating, Ablation
from zoo.registry import register


@register
class UnitCorrelation(Ablating):
    """Rank correlation of contributions with the drop of the logit without each unit, mean over inputs.

    Per input, Spearman's correlation (ties share their mean rank) between the contributions of units and the drop of
    the explained logit when that one unit is ablated. 1: the order of units is that of their effects; 0: chance.
    Differences within rounding error (of contributions: that of single precision) count as ties. With the mean strength
    as absence, what a unit adds to every input alike is no effect; therefore contributions that are exact relative to
    strength 0 need not reach 1.

    Further read-outs: ``undefined`` share of inputs left out because all contributions or all effects are equal;
    ``tried`` units ablated in each input. Per unit: ``unit/effect`` mean absolute drop, ``unit/claim`` mean absolute
    contribution, both over the ``unit/tried`` inputs on which it was tried.

    Args:
        num_units: u.
        ablation: ``mean`` or ``zero``; see ``Ablating``.
        max_units: units tried in each input. If there are more, half are those of the largest absolute contribution,
            half are evenly spread over the order of the others, so that effects of units without contribution count.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> score = UnitCorrelation(3, ablation="zero")
        >>> strength = torch.tensor([[3.0, 1.0, 2.0]])
        >>> def decide(mask, value):  # two classes; the first logit is the sum of the strengths
        ...     total = torch.where(mask, value, strength).sum(-1, keepdim=True)
        ...     return torch.cat([total, 0 * total], -1)
        >>> contribution = torch.tensor([[3.0, 2.0, 1.0]])  # the order of the last two is wrong
        >>> score.update(contribution, torch.tensor([0]), decide=decide)
        >>> float(score.compute()["correctness"])
        0.5
    """

    title = "Unit correlation"
    meaning = "rank correlation of contributions with the logit's drop when a unit is ablated; chance is 0"
    unit_readouts = {
        "effect": "mean absolute drop of the logit without the unit",
        "claim": "mean absolute contribution",
    }
    protocol = "zoo-correctness-v1"
    intervals = {"correctness": ("", -1, 1)}
    total: Tensor
    defined: Tensor
    tried: Tensor
    effect: Tensor
    claim: Tensor

    def __init__(self, num_units: int, *, ablation: Ablation = "mean", max_units: int = 100) -> None:
        super().__init__(num_units, ablation)
        self.max_units = count("max_units", max_units)
        self.protocol = self._variant(type(self).protocol, ablation=ablation, max_units=self.max_units)
        self._sum("total", dtype=torch.float64)
        self._sum("defined")
        self._sum("tried", num_units)
        for name in ("effect", "claim"):
            self._sum(name, num_units, dtype=torch.float64)

    def update(
        self,
        contribution: Tensor,
        target: Tensor,
        y: Tensor | None = None,
        index: Tensor | None = None,
        *,
        decide: Decide,
        value: Tensor | None = None,
    ) -> None:
        """Add a batch.

        Args:
            contribution: ``(b, u)`` to the logit of ``target``.
            target: ``(b,)`` class explained.
            y: not used.
            index: not used.
            decide: logits ``(..., b, c)`` from mask and strengths ``(..., b, u)``.
            value: ``(u,)`` or ``(b, u)`` strengths of ablated units; None for those of ``ablation``.

        Raises:
            ValueError: if a shape does not fit.
        """
        claim = self._checked(contribution, target, index)
        if not len(claim):
            return
        ids = tried(claim, self.max_units)
        drop, noise = drops(decide, ids, self.absent(claim, value), target.to(claim.device), claim)
        contributions = claim.gather(1, ids).double()
        rounding = contributions.abs().amax(1, keepdim=True) * 4 * torch.finfo(torch.float32).eps
        rho = spearman(_steps(contributions, rounding), _steps(drop, noise)).to(self.device)
        known = rho.isfinite()
        self._add("total", rho.nan_to_num())
        self._add("defined", known.long())
        flat = ids.flatten().to(self.device)
        self.tried = self.tried + torch.bincount(flat, minlength=self.num_units)
        self.effect = self.effect.index_add(0, flat, drop.abs().flatten().to(self.device))
        self.claim = self.claim.index_add(0, flat, contributions.abs().flatten().to(self.device))

    def compute(self) -> dict[str, Tensor]:
        """The correlation and its read-outs; see the class."""
        return {
            "correctness": self.total / self.defined,
            "undefined": (self.samples - self.defined) / self.samples.double(),
            "tried": self.tried.sum() / self.samples.double(),
            "support": self.samples,
            "unit/effect": self.effect / self.tried.clamp_min(1),
            "unit/claim": self.claim / self.tried.clamp_min(1),
            "unit/tried": self.tried,
        }


def tried(contribution: Tensor, limit: int) -> Tensor:
    """Ids ``(b, k)`` of at most ``limit`` units: half the largest in absolute value, half spread over the rest."""
    order, u = contribution.abs().argsort(dim=1, descending=True, stable=True), contribution.shape[1]
    if u <= limit:
        return order
    top = limit // 2
    rest = torch.linspace(top, u - 1, limit - top, dtype=torch.float64, device=order.device).round().long()
    return torch.cat([order[:, :top], order[:, rest]], 1)


def drops(decide: Decide, ids: Tensor, value: Tensor, target: Tensor, claim: Tensor) -> tuple[Tensor, Tensor]:
    """What the logit of ``target`` loses without each unit of ``ids`` ``(b, k)``, and the rounding error ``(b, 1)``."""
    b, u = claim.shape
    none = torch.zeros(1, b, u, dtype=torch.bool, device=claim.device)
    whole = decide(none, value.expand(1, b, u))
    check_classes("unit_correlation.target", target, whole.shape[-1])
    left = []
    for part in ids.split(max(1, CHUNK // (b * u)), 1):
        mask = none.repeat(part.shape[1], 1, 1).scatter_(2, part.T[..., None], True)
        logits = decide(mask, value.expand(mask.shape))
        check_finite("logits with a unit ablated", logits)
        left.append(logits.gather(2, target.expand(len(logits), b)[..., None])[..., 0].double())
    size = whole[0].double().abs().amax(1, keepdim=True) + u**0.5 * claim.double().abs().amax(1, keepdim=True)
    at = whole[0].gather(1, target[:, None]).double()
    return at - torch.cat(left).T, 4 * torch.finfo(whole.dtype).eps * size


def _steps(x: Tensor, size: Tensor) -> Tensor:
    """Whole numbers of steps of ``size`` ``(b, 1)``, so that values apart by rounding error are equal."""
    return (x / size.clamp_min(torch.finfo(torch.float64).tiny)).round()
