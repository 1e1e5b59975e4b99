"""Scoring cards: few rules with integer points, found by search and rounding, with a certified gap to the optimum."""

from zoo.layers.scoring.integer_points import IntegerPoints, round_points
from zoo.layers.scoring.patterns import Patterns
from zoo.layers.scoring.rules import Rule, candidate_rules
from zoo.layers.scoring.support import Support, best_support, lower_bound

__all__ = [
    "IntegerPoints",
    "Patterns",
    "Rule",
    "Support",
    "best_support",
    "candidate_rules",
    "lower_bound",
    "round_points",
]
