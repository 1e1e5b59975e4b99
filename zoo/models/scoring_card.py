"""Scoring card: a few rules with integer points, whose sum gives the risk; points of credit scoring on request.

Source: Ustun, Rudin, Learning Optimized Risk Scores, JMLR 2019; Liu, Zhong, Li, Seltzer, Rudin, FasterRisk: Fast and
Accurate Interpretable Risk Scores, NeurIPS 2022.

Rules are chosen by beam search and swaps, their points by
rounding for several multipliers; the gap to the best card of as many rules is certified by branch and bound.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.explanation import Explanation
from zoo.layers.additive import ColumnBins, Term
from zoo.layers.additive.fit_batches import rows_of
from zoo.layers.additive.purify import center
from zoo.layers.additive_model import AdditiveModel
from zoo.layers.scoring import Patterns, Rule, best_support, candidate_rules, in_whole_points, lower_bound, round_points
from zoo.registry import register
from zoo.task import Classification
from zoo.what_if import FeatureTables

log = logging.getLogger("zoo")


class CardLine(NamedTuple):
    """One line of a card: the points of a bin of a column."""

    column: str
    values: str
    points: int


@register
class ScoringCard(AdditiveModel):
    """Points for each bin of a few columns; the log odds of the second class are ``(points + base) / multiplier``.

    Units are the columns with points; the strength of one is what its points add to the log odds, compared with an
    average row. For two classes.

    Args:
        common: the arguments of ``zoo.layers.additive_model.AdditiveModel``.

    Attributes:
        multiplier: ``()`` points of a change of the log odds by 1.
        certificate: ``(2,)`` objective of the card, and a lower bound of that of every card of as many rules.

    Example:
        >>> import zoo
        >>> from zoo.batch import Batch
        >>> model = zoo.create_model("scoring_card", num_classes=2, input_shape=[1]).eval()
        >>> x = torch.arange(100.0)[:, None]
        >>> y = (x[:, 0] > 40).long()
        >>> figures = model.fit_card([Batch(x, y, torch.arange(100))], rules=1)
        >>> [line.values for line in model.card()], figures["rules"]
        (['below 37.5', '37.5 or more'], 1.0)
    """

    tasks = ("classification",)
    base_is_free = False
    multiplier: Tensor
    certificate: Tensor

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        self.register_buffer("multiplier", torch.ones((), dtype=torch.float64))
        self.register_buffer("certificate", torch.zeros(2, dtype=torch.float64))

    @torch.no_grad()
    def fit_card(
        self,
        loader: Iterable[Batch],
        *,
        rules: int = 5,
        max_points: int = 5,
        cuts: int = 8,
        min_share: float = 0.02,
        ridge: float = 1e-4,
        nodes: int = 200,
    ) -> dict[str, float]:
        """Choose rules and integer points; the same rows give the same card.

        Args:
            loader: all training rows.
            rules: largest number of rules.
            max_points: largest absolute number of points of a rule.
            cuts: largest number of value bins of a column, from which the rules are made.
            min_share: share of the rows for which a rule must be true, and for which it must be false.
            ridge: of the coefficients, in units of the mean loss.
            nodes: convex problems of the branch and bound that certifies the gap.

        Returns:
            The number of rules, the objective of the card, its lower bound and the relative gap.

        Raises:
            ValueError: if an option is out of range, or no rule can be made.
        """
        for name, value in (("rules", rules), ("max_points", max_points), ("nodes", nodes)):
            if value < 1:
                raise ValueError(f"{name} is {value}; expected 1 or more")
        if not ridge > 0 or not 0 < min_share < 0.5:
            raise ValueError(f"ridge is {ridge}, min_share {min_share}; expected above 0, and between 0 and 0.5")
        assert isinstance(self.task, Classification)
        if self.task.classes != 2:
            raise ValueError(f"the target has {self.task.classes} classes; a scoring card is for two classes")
        x, y, weights = rows_of(loader, self.task)
        bins, candidates, true = candidate_rules(*self.columns.cells(x), weights, cuts=cuts, min_share=min_share)
        patterns = Patterns(true, y, weights, ridge)
        support = best_support(patterns, rules)
        card = round_points(patterns, support, max_points=max_points)
        bound, _ = lower_bound(patterns, rules, min(support.objective, card.objective), nodes=nodes)
        terms, intercept = [], np.array([card.intercept / card.multiplier])
        for j, axis in enumerate(bins):
            points = _points_of_bins(axis, j, candidates, card.rules, card.points)
            if points.any():
                axis, points = _merged(axis, points)
                counts = np.bincount(axis.transform(x[:, j]), weights=weights, minlength=axis.size)
                table, mean = center(points[:, None] / card.multiplier, counts)
                intercept = intercept + mean
                terms.append(self.columns.named(Term((axis,), table, counts)))
        self.set_terms(terms, intercept)
        self.multiplier.fill_(card.multiplier)
        self.certificate.copy_(torch.tensor([card.objective, bound]))
        gap = (card.objective - bound) / card.objective
        log.info("card: %d rules of %d candidates on %d columns", len(card.rules), len(candidates), len(terms))
        log.info("certificate: objective %.6g, no card is below %.6g (gap %.2g %%)", card.objective, bound, 100 * gap)
        return {"rules": float(len(card.rules)), "objective": card.objective, "lower bound": bound, "gap": gap}

    def card(self, *, pdo: float | None = None, base_score: float = 600, base_odds: float = 50) -> list[CardLine]:
        """Return the points of every bin that training rows fell in; the lowest of each column is 0.

        With ``pdo`` the points are those of credit scoring: the score of odds ``base_odds`` (of the second class
        against the first) is ``base_score``, and it rises by ``pdo`` points where the odds double. The base is then
        spread over the columns and every line rounded, so that a score is exact up to half a point a column.

        Args:
            pdo: points to double the odds; None for the integers of the card.
            base_score: score at ``base_odds``.
            base_odds: odds of the second class.

        Raises:
            ValueError: if ``pdo`` or ``base_odds`` is not above 0.
        """
        if base_odds <= 0 or (pdo is not None and pdo <= 0):
            raise ValueError(f"pdo is {pdo}, base_odds {base_odds}; expected numbers above 0")
        lines = []
        terms = self.shape_functions()
        factor = float(self.multiplier) if pdo is None else pdo / math.log(2)
        base = 0.0
        if pdo is not None:
            base = base_score + factor * (float(self.core.intercept[0]) - math.log(base_odds))
        for term in terms:
            seen = np.flatnonzero(term.counts > 0)
            low = float(term.table[seen].min()) if pdo is None else 0.0
            for code in seen:
                points = factor * (float(term.table[code, 0]) - low) + base / len(terms)
                lines.append(CardLine(term.name, self.bin_text(term.bins[0], int(code)), round(points)))
        return lines

    def base_points(self) -> int:
        """Return the points that are added to those of ``card()``; the log odds are the sum over the multiplier."""
        low = [float(term.table[term.counts > 0].min()) for term in self.shape_functions()]
        return round((float(self.core.intercept[0]) + sum(low)) * float(self.multiplier))

    def risks(self) -> dict[int, float]:
        """Return the probability of the second class for every total of ``card()`` that can occur."""
        by_column: dict[str, set[int]] = {}
        for line in self.card():
            by_column.setdefault(line.column, set()).add(line.points)
        totals = {0}
        for points in by_column.values():
            totals = {total + p for total in totals for p in points}
        base, multiplier = self.base_points(), float(self.multiplier)
        return {total: 1 / (1 + math.exp(-(total + base) / multiplier)) for total in sorted(totals)}

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return super().capabilities | {"points_card"}

    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return the number of columns, the lines of the card and, unless it was edited, the certified gap."""
        objective, bound = self.certificate.tolist()
        gap = {} if self.history is not None else {"certified gap": (objective - bound) / max(objective, 1e-300)}
        return {"columns": float(len(self.core.term_axes)), "lines": float(len(self.card())), **gap}

    def rounded_score(self, score: Tensor) -> Tensor:
        """Return log odds ``(b, scores)`` from whole points where they are whole, so that even odds are exactly 0."""
        return in_whole_points(score, self.multiplier)

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by the numbers that the columns add, exact in every digit: the base takes what rounding leaves."""
        explanation = super().explain(x, target, shown)
        logit = explanation.logits.gather(1, explanation.target[:, None])[:, 0]
        return replace(explanation, base=logit - explanation.contribution.sum(1))

    def feature_tables(self) -> FeatureTables:
        """Return columns, bins and tables as numbers, with the multiplier of the points."""
        return replace(super().feature_tables(), multiplier=float(self.multiplier))

    def rounded_edit(self, old: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Return the new values ``(n,)`` rounded, so that every bin moves by whole points."""
        return old + np.round((new - old) * float(self.multiplier)) / float(self.multiplier)


def _points_of_bins(
    axis: ColumnBins, column: int, candidates: list[Rule], chosen: tuple[int, ...], points: np.ndarray
) -> np.ndarray:
    """Return the points ``(bins,)`` of a column: the sum over its chosen rules."""
    total = np.zeros(axis.size)
    for rule, p in zip(chosen, points, strict=True):
        if candidates[rule].column == column:
            total += p * candidates[rule].holds
    return total


def _merged(axis: ColumnBins, points: np.ndarray) -> tuple[ColumnBins, np.ndarray]:
    """Return the bins with neighbors of equal points merged, and their points."""
    inner = points[1:-1]
    if axis.kind == "number":
        edge = np.flatnonzero(np.diff(inner) != 0)
        bins = ColumnBins(axis.name, "number", cuts=axis.cuts[edge], minimum=axis.minimum, maximum=axis.maximum)
        first = np.concatenate([[0], edge + 1]) if len(inner) else np.zeros(0, int)
        return bins, np.concatenate([points[:1], inner[first], points[-1:]])
    return axis, points
