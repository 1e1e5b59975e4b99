"""Scoring cards: few rules with integer points, found by search and rounding, with a certified gap to the optimum."""

from zoo.layers.scoring.integer_points import IntegerPoints, round_points
from zoo.layers.scoring.patterns import Patterns
from zoo.layers.scoring.rules import Rule, candidate_rules
from zoo.layers.scoring.support import Support, best_support, lower_bound
from zoo.layers.scoring.whole_points import in_whole_points

__all__ = [
    "IntegerPoints",
    "Patterns",
    "Rule",
    "Support",
    "best_support",
    "candidate_rules",
    "in_whole_points",
    "lower_bound",
    "round_points",
]
