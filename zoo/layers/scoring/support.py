"""The rules of a scoring card: beam search with swaps, and a lower bound by branch and bound.

Liu, Zhong, Li, Seltzer, Rudin, FasterRisk: Fast and Accurate Interpretable Risk Scores, NeurIPS 2022, describe the beam
search; the lower bound here relaxes the number of rules and the integers, so that it holds for every card.
"""

from __future__ import annotations

import heapq
import itertools
from typing import NamedTuple

import numpy as np

from zoo.layers.scoring.patterns import Patterns

TRIED = 12  # rules of largest gradient that are tried in each step
SWAPS = 10  # rounds of swaps


class Support(NamedTuple):
    """Chosen rules, ascending, their coefficients with the intercept last, and the objective."""

    rules: tuple[int, ...]
    theta: np.ndarray
    objective: float


def best_support(patterns: Patterns, k: int, *, beam: int = 8) -> Support:
    """Return at most k rules of low objective: beam search, then swaps of one rule while they help.

    Args:
        patterns: rows of all candidate rules.
        k: largest number of rules.
        beam: supports that are kept in each step.
    """
    start = Support((), *patterns.fit([])[:2])
    kept = [start]
    best = start
    for _ in range(min(k, patterns.rows.shape[1])):
        grown: dict[tuple[int, ...], Support] = {}
        for support in kept:
            for rule in _promising(patterns, support):
                _try(patterns, grown, support, (*support.rules, rule))
        kept = sorted(grown.values(), key=lambda s: s.objective)[:beam]
        best = min([best, *kept], key=lambda s: s.objective)
    for _ in range(SWAPS):
        swapped: dict[tuple[int, ...], Support] = {}
        for drop in best.rules:
            rest = tuple(rule for rule in best.rules if rule != drop)
            less = Support(rest, *patterns.fit(rest)[:2])
            for rule in _promising(patterns, less):
                if rule != drop:
                    _try(patterns, swapped, less, (*rest, rule))
        better = min(swapped.values(), key=lambda s: s.objective, default=best)
        if better.objective >= best.objective - 1e-10:
            break
        best = better
    return best


def _promising(patterns: Patterns, support: Support) -> list[int]:
    gain = np.abs(patterns.gradient(support.rules, support.theta))
    gain[list(support.rules)] = -1
    order = np.argsort(-gain, kind="stable")[:TRIED]
    return [int(rule) for rule in order if gain[rule] > 0]


def _try(
    patterns: Patterns,
    known: dict[tuple[int, ...], Support],
    start: Support,
    rules: tuple[int, ...],
) -> None:
    key = tuple(sorted(rules))
    if key in known:
        return
    of = dict(zip(start.rules, start.theta[:-1], strict=True))
    theta = np.array([*[of.get(rule, 0.0) for rule in key], start.theta[-1]])
    known[key] = Support(key, *patterns.fit(key, theta)[:2])


def lower_bound(patterns: Patterns, k: int, incumbent: float, *, nodes: int = 200) -> tuple[float, bool]:
    """Return a lower bound of the objective of every card of at most k rules, and whether the search was complete.

    A node fixes rules in and out; its bound is the optimum over the rules that are not out, of any number. With k rules
    in, the others are out. The smallest bound of the open nodes holds for all cards.

    Args:
        patterns: rows of all candidate rules.
        k: largest number of rules.
        incumbent: the objective of a known card; nodes above it are closed.
        nodes: convex problems that are solved at most.
    """
    p = patterns.rows.shape[1]
    theta, _, bound = patterns.fit(range(p))
    count = itertools.count()
    heap = [(bound, next(count), frozenset[int](), tuple(range(p)), theta)]
    solved = 1
    while heap and solved < nodes:
        bound, _, chosen, allowed, theta = heapq.heappop(heap)
        if bound >= incumbent - 1e-12:
            return incumbent, True
        free = [i for i, rule in enumerate(allowed) if rule not in chosen]
        if not free:
            heapq.heappush(heap, (bound, next(count), chosen, allowed, theta))
            return bound, True
        spread = patterns.rows[:, list(allowed)].std(0)
        i = max(free, key=lambda i: abs(theta[i]) * spread[i])
        rule = allowed[i]
        rest = allowed[:i] + allowed[i + 1 :]
        out, _, out_bound = patterns.fit(rest, np.delete(theta, i))
        solved += 1
        heapq.heappush(heap, (max(bound, out_bound), next(count), chosen, rest, out))
        inside = chosen | {rule}
        if len(inside) == k:
            leaf = tuple(sorted(inside))
            theta, _, leaf_bound = patterns.fit(leaf)
            solved += 1
            heapq.heappush(heap, (max(bound, leaf_bound), next(count), inside, leaf, theta))
        else:
            heapq.heappush(heap, (bound, next(count), inside, allowed, theta))
    if not heap:
        return incumbent, True
    return min(heap[0][0], incumbent), heap[0][0] >= incumbent - 1e-12
