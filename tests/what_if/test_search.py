"""The smallest change against all changes: every subset and every option tried one after another."""

from itertools import combinations, product

import numpy as np
import pytest

from zoo.what_if.search import smallest_change


def brute_force(gains, costs, pairs, need, max_changes):
    """(number of slots, cost) of the smallest change, by trying all."""
    if (need <= 0).all():
        return 0, 0.0
    for size in range(1, max_changes + 1):
        best = np.inf
        for subset in combinations(range(len(gains)), size):
            for options in product(*(range(len(gains[i])) for i in subset)):
                total = sum(gains[i][o] for i, o in zip(subset, options, strict=True))
                chosen = dict(zip(subset, options, strict=True))
                for (i, j), extra in pairs.items():
                    if i in chosen and j in chosen:
                        total = total + extra[chosen[i], chosen[j]]
                if (total >= need).all():
                    best = min(best, sum(costs[i][o] for i, o in chosen.items()))
        if best < np.inf:
            return size, best
    return None


@pytest.mark.parametrize("seed", range(60))
def test_against_all_changes(seed):
    rng = np.random.default_rng(seed)
    m, k = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    sizes = rng.integers(0, 4, m)
    gains = [rng.normal(size=(o, k)) for o in sizes]
    costs = [rng.integers(0, 4, o) / 4 for o in sizes]
    every = list(combinations(range(m), 2))
    taken = [p for p in every if rng.random() < 0.5]
    pairs = {(i, j): rng.normal(size=(sizes[i], sizes[j], k)) for i, j in taken if sizes[i] and sizes[j]}
    need = rng.normal(size=k) + rng.choice([0.0, 1.0, 2.5])
    limit = int(rng.integers(1, 6))
    expected = brute_force(gains, costs, pairs, need, limit)
    found = smallest_change(gains, costs, pairs, need, max_changes=limit)
    if expected is None:
        assert found is None
        return
    assert (len(found.options), found.cost) == (expected[0], pytest.approx(expected[1]))
    total = sum((gains[i][o] for i, o in found.options.items()), np.zeros(k))
    for (i, j), extra in pairs.items():
        if i in found.options and j in found.options:
            total = total + extra[found.options[i], found.options[j]]
    assert (total >= need).all()
    assert found.cost == pytest.approx(sum(costs[i][o] for i, o in found.options.items()))


@pytest.mark.parametrize("seed", range(40))
def test_ranges_against_a_fine_grid(seed):
    """Two ranges and one slot of options; each range in steps of a hundredth."""
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 4))
    slopes = [rng.normal(size=k) for _ in range(2)]
    gains = [np.stack([-slope, slope]) for slope in slopes] + [rng.normal(size=(2, k))]
    costs = [np.array([1.0, 1.0]), np.array([2.0, 0.5]), np.array([0.3, 0.6])]
    need = rng.normal(size=k) + 0.4
    found = smallest_change(gains, costs, {}, need, max_changes=3, ranges=[0, 1])
    steps = np.linspace(0, 1, 101)
    fine = [(e, t) for e in range(2) for t in steps[1:]]
    moves = [[(np.zeros(k), 0.0)] + [(t * gains[i][e], t * costs[i][e]) for e, t in fine] for i in range(2)]
    moves.append([(np.zeros(k), 0.0)] + [(gains[2][o], costs[2][o]) for o in range(2)])
    best = None
    first = np.stack([g for g, _ in moves[0]]), np.array([c for _, c in moves[0]])
    for (g1, c1), (g2, c2) in product(moves[1], moves[2]):
        enough = (first[0] + g1 + g2 >= need).all(1)
        for at in np.flatnonzero(enough):
            count = int(at > 0) + int(c1 > 0) + int(c2 > 0)
            best = min(best or (9, 0.0), (count, float(first[1][at]) + c1 + c2))
    if best is None:
        return
    assert found is not None
    assert len(found.options) <= best[0]
    if len(found.options) == best[0]:
        assert best[1] - 0.04 <= found.cost <= best[1] + 1e-9
    total = sum(found.fractions.get(i, 1.0) * gains[i][o] for i, o in found.options.items())
    assert (total >= need - 1e-9).all()
    assert found.cost == pytest.approx(sum(found.fractions.get(i, 1.0) * costs[i][o] for i, o in found.options.items()))
