"""The smallest set of changes that brings enough gain: exact, by branch and bound over subsets and their options."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

Pairs = Mapping[tuple[int, int], np.ndarray]


@dataclass(frozen=True)
class Selection:
    """Chosen options.

    Attributes:
        options: option of each slot that is changed, by slot.
        cost: their sum.
        fractions: of each slot that is a range, how far it is changed towards its option, 0 to 1.
    """

    options: dict[int, int]
    cost: float
    fractions: dict[int, float] = field(default_factory=dict)


def smallest_change(
    gains: Sequence[np.ndarray],
    costs: Sequence[np.ndarray],
    pairs: Pairs,
    need: np.ndarray,
    *,
    max_changes: int,
    ranges: Collection[int] = (),
) -> Selection | None:
    """Return the options of the fewest slots, and of these of the least cost, whose gains reach what is needed.

    Of equal ones the first is taken, by slot and then by option.

    Args:
        gains: of each of m slots ``(o, k)``, what each of its o options adds to k margins.
        costs: of each slot ``(o,)``, 0 or more.
        pairs: what options of two slots ``(i, j)``, i < j, add beyond their own gains, ``(o_i, o_j, k)``.
        need: ``(k,)`` what each margin must gain.
        max_changes: largest number of slots that are changed.
        ranges: slots that can be changed by any fraction of one of their options, whose gains and costs grow in
            proportion: the ends of a range of numbers. Such slots belong to no pair.

    Returns:
        None if no change of so many slots is enough.

    Example:
        >>> gains = [np.array([[1.0], [2.0]]), np.array([[3.0]])]
        >>> smallest_change(gains, [np.array([0.1, 0.2]), np.array([5.0])], {}, np.array([2.0]), max_changes=2)
        Selection(options={0: 1}, cost=0.2, fractions={})
        >>> smallest_change(gains, [np.zeros(2), np.zeros(1)], {}, np.array([4.0]), max_changes=2).options
        {0: 0, 1: 0}
        >>> smallest_change(gains, [np.array([0.1, 0.2]), np.ones(1)], {}, np.array([2.25]), max_changes=1, ranges=[1])
        Selection(options={1: 0}, cost=0.75, fractions={1: 0.75})
    """
    if (need <= 0).all():
        return Selection({}, 0.0)
    slots = [i for i, gain in enumerate(gains) if len(gain)]
    # An upper bound of what a slot can add, with all that pairs can add to it.
    reach = {i: gains[i].max(0) for i in slots}
    for (i, j), extra in pairs.items():
        if i in reach and j in reach:
            reach[j] = reach[j] + np.maximum(extra.max((0, 1)), 0.0)
    bounds = np.array([reach[i] for i in slots]) if slots else np.zeros((0, len(need)))
    for size in range(1, min(max_changes, len(slots)) + 1):
        search = _Subsets(gains, costs, pairs, need, slots, bounds, size, frozenset(ranges))
        search.extend((), 0, np.zeros_like(need))
        if search.best is not None:
            return search.best
    return None


class _Subsets:
    """The subsets of one size, built slot by slot; those that cannot gain enough are cut off."""

    def __init__(
        self,
        gains: Sequence[np.ndarray],
        costs: Sequence[np.ndarray],
        pairs: Pairs,
        need: np.ndarray,
        slots: Sequence[int],
        bounds: np.ndarray,
        size: int,
        ranges: frozenset[int],
    ) -> None:
        self.gains, self.costs, self.pairs, self.need = gains, costs, pairs, need
        self.slots, self.bounds, self.size, self.ranges = slots, bounds, size, ranges
        self.best: Selection | None = None
        # The most that any n of the slots from a place on can add to each margin.
        self.later = np.full((size + 1, len(slots) + 1, len(need)), -np.inf)
        self.later[0] = 0.0
        for place in range(len(slots) - 1, -1, -1):
            for n in range(1, size + 1):
                take = bounds[place] + self.later[n - 1, place + 1]
                self.later[n, place] = np.maximum(self.later[n, place + 1], take)

    def extend(self, chosen: tuple[int, ...], place: int, reached: np.ndarray) -> None:
        """Try all subsets that begin with the chosen slots and go on from a place."""
        left = self.size - len(chosen)
        if left == 0:
            self._options(chosen)
            return
        for at in range(place, len(self.slots) - left + 1):
            if (reached + self.later[left, at] < self.need).any():
                return  # later places can add less
            with_this = reached + self.bounds[at]
            if (with_this + self.later[left - 1, at + 1] >= self.need).all():
                self.extend((*chosen, self.slots[at]), at + 1, with_this)

    def _options(self, subset: tuple[int, ...]) -> None:
        limit = np.inf if self.best is None else self.best.cost
        if self.ranges.intersection(subset):
            self.best = self._with_ranges(subset, limit) or self.best
            return
        gains = [self.gains[i] for i in subset]
        extras = {
            (a, b): self.pairs[i, j]
            for a, i in enumerate(subset)
            for b, j in enumerate(subset)
            if a < b and (i, j) in self.pairs
        }
        found = _cheapest(gains, [self.costs[i] for i in subset], extras, self.need, limit)
        if found is not None:
            options, cost = found
            self.best = Selection(dict(zip(subset, options, strict=True)), cost)

    def _with_ranges(self, subset: tuple[int, ...], limit: float) -> Selection | None:
        """The cheapest options and fractions below a limit: a small linear program for each choice of options."""
        fixed = [i for i in subset if i not in self.ranges]
        ranged = [i for i in subset if i in self.ranges]
        best = None
        for options in product(*(range(len(self.gains[i])) for i in fixed)):
            chosen = dict(zip(fixed, options, strict=True))
            cost = sum(float(self.costs[i][o]) for i, o in chosen.items())
            if cost >= limit:
                continue
            missing = self.need - sum((self.gains[i][o] for i, o in chosen.items()), np.zeros_like(self.need))
            found = _fractions([self.gains[i] for i in ranged], [self.costs[i] for i in ranged], missing)
            if found is not None and cost + found[2] < limit:
                limit = cost + found[2]
                ends = dict(zip(ranged, found[0], strict=True))
                options_by_slot = {i: chosen.get(i, ends.get(i, 0)) for i in subset}
                best = Selection(options_by_slot, limit, dict(zip(ranged, found[1], strict=True)))
        return best


def _fractions(
    gains: list[np.ndarray], costs: list[np.ndarray], missing: np.ndarray
) -> tuple[list[int], list[float], float] | None:
    """Return the option of each range, how far it is changed towards it, and the least cost; None if nothing is enough.

    Args:
        gains: of each range ``(o, k)``.
        costs: of each range ``(o,)``.
        missing: ``(k,)``
    """
    if len(gains) == 1:
        best = None
        for option, (gain, cost) in enumerate(zip(gains[0], costs[0], strict=True)):
            if ((gain <= 0) & (missing > 0)).any():
                continue
            needed = np.where(missing > 0, missing, 0.0) / np.where(gain > 0, gain, 1.0)
            high = np.where((gain < 0) & (missing <= 0), missing / np.where(gain < 0, gain, 1.0), 1.0).min()
            fraction = float(needed.max())
            if fraction <= min(1.0, float(high)) and (best is None or fraction * cost < best[2]):
                best = ([option], [fraction], float(fraction * cost))
        return best
    from scipy.optimize import linprog

    place = [(n, o) for n, gain in enumerate(gains) for o in range(len(gain))]
    table = np.array([gains[n][o] for n, o in place]).T
    price = np.array([costs[n][o] for n, o in place])
    solved = linprog(price, A_ub=-table, b_ub=-missing, bounds=[(0.0, 1.0)] * len(place), method="highs")
    if solved.status != 0:
        return None
    options, fractions = [], []
    for n in range(len(gains)):
        own = [(float(solved.x[at]), o) for at, (m, o) in enumerate(place) if m == n]
        fraction, option = max(own)
        options.append(option)
        fractions.append(fraction)
    return options, fractions, float(price @ solved.x)


def _cheapest(
    gains: list[np.ndarray], costs: list[np.ndarray], extras: Pairs, need: np.ndarray, limit: float
) -> tuple[tuple[int, ...], float] | None:
    """Return one option for each of some slots, the cheapest below a limit that is enough."""
    if len(gains) == 1:
        enough = (gains[0] >= need).all(1) & (costs[0] < limit)
        if not enough.any():
            return None
        option = int(np.where(enough, costs[0], np.inf).argmin())
        return (option,), float(costs[0][option])
    if len(gains) == 2:
        total = gains[0][:, None] + gains[1][None]
        if (0, 1) in extras:
            total = total + extras[0, 1]
        cost = costs[0][:, None] + costs[1][None]
        cost = np.where((total >= need).all(2), cost, np.inf)
        first, second = np.unravel_index(int(cost.argmin()), cost.shape)
        least = float(cost[first, second])
        return ((int(first), int(second)), least) if least < limit else None
    best = None
    rest_cost = sum(float(cost.min()) for cost in costs[1:])
    for option in np.argsort(costs[0], kind="stable").tolist():
        own = float(costs[0][option])
        if own + rest_cost >= limit:
            break
        rest = [g + extras[0, n][option] if (0, n) in extras else g for n, g in enumerate(gains[1:], 1)]
        inner = {(a - 1, b - 1): extra for (a, b), extra in extras.items() if a > 0}
        reach = sum((g.max(0) for g in rest), np.zeros_like(need)) + sum(
            (np.maximum(extra.max((0, 1)), 0.0) for extra in inner.values()), np.zeros_like(need)
        )
        missing = need - gains[0][option]
        if (reach < missing).any():
            continue
        found = _cheapest(rest, costs[1:], inner, missing, limit - own)
        if found is not None:
            best, limit = ((option, *found[0]), own + found[1]), own + found[1]
    return best
