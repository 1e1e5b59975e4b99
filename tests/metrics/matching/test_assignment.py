"""Units of two runs matched one to one: worked by hand, against all permutations, and by chance."""

from itertools import permutations

import pytest
import torch

from zoo.metrics.matching.assignment import average, directions, match, parts, profile
from zoo.metrics.parts.consistency import Consistency


def best_by_trying(table):
    """The largest sum over all one-to-one matchings."""
    table = table if len(table) <= len(table[0]) else [list(row) for row in zip(*table, strict=True)]
    return max(
        sum(row[c] for row, c in zip(table, chosen, strict=True))
        for chosen in permutations(range(len(table[0])), len(table))
    )


# The matching.


def test_by_hand():
    """Greedy takes .9 and is left with 0; the best takes .8 and .7."""
    table = torch.tensor([[0.9, 0.8, -1.0], [0.7, 0.0, -1.0]], dtype=torch.float64)
    result = match(table, chance=0.25)
    assert result.left.tolist() == [0, 1]
    assert result.right.tolist() == [1, 0]
    assert result.similarity.tolist() == pytest.approx([0.8, 0.7])
    assert [ids.tolist() for ids in result.unmatched] == [[], [2]]
    expected = {"similarity": 0.75, "chance": 0.25, "strict_chance": float("nan")}
    expected |= {"highest": (0.9 + 0.7 + 0.9 + 0.8 - 1) / 5, "close": 1.0, "unmatched": 0.2, "dead": 0.0}
    assert result.summary() == pytest.approx(expected, nan_ok=True)


def test_more_units_on_the_left():
    result = match(torch.tensor([[0.1, 0.2], [0.9, 0.3], [0.95, 0.6]]))
    assert result.left.tolist() == [1, 2]
    assert result.right.tolist() == [0, 1]
    assert [ids.tolist() for ids in result.unmatched] == [[0], []]
    assert result.summary()["close"] == 0.5


def test_the_dead_are_counted_and_bring_the_mean_down():
    left, right = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    for how in (directions, parts):
        result = how(left, right)
        assert result.dead == (1, 2)
        assert result.summary()["similarity"] == 0.5
        assert result.summary()["dead"] == 3 / 5


def test_where_every_row_has_a_favourite_of_its_own_scipy_is_not_asked(monkeypatch):
    """And where not, it is."""
    table = torch.tensor([[0.1, 0.9, 0.0], [0.8, 0.7, 0.0]])
    monkeypatch.setattr("scipy.optimize.linear_sum_assignment", None)
    assert match(table).right.tolist() == [1, 0]
    assert match(table.T).left.tolist() == [0, 1]
    with pytest.raises(TypeError):
        match(torch.tensor([[0.1, 0.9], [0.7, 0.8]]))


def test_average_is_the_plain_mean_over_pairs():
    result = [match(torch.tensor([[0.5]]), chance=0.2, strict_chance=0.4), match(torch.zeros(1, 3), chance=0.4)]
    mean = average(result)
    assert mean["similarity"] == 0.25
    assert mean["chance"] == pytest.approx(0.3)
    assert mean["unmatched"] == pytest.approx((0 + 0.5) / 2)
    assert mean["strict_chance"] != mean["strict_chance"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (4, 4), (3, 6), (6, 3), (5, 6)])
def test_against_all_permutations(shape):
    for seed in range(20):
        table = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1
        table = table.mul(3).round() if seed % 2 else table  # many ties
        result = match(table)
        assert float(result.similarity.sum()) == pytest.approx(best_by_trying(table.tolist()))
        assert len(result.left.unique()) == len(result.right.unique()) == min(shape)
        assert torch.equal(result.similarity, table[result.left, result.right])
        assert torch.equal(result.left, result.left.sort().values)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (torch.zeros(0, 3), r"similarity is \(0, 3\); expected at least one unit"),
        (torch.tensor([[float("nan")]]), "not finite"),
        (torch.zeros(3), "similarity is"),
    ],
)
def test_wrong_tables(table, words):
    with pytest.raises(ValueError, match=words):
        match(table)


# Directions.


def test_cosine_is_signed_scale_does_not_matter_and_zeros_are_dead():
    left = torch.tensor([[3.0, 0.0], [0.0, 0.0], [0.0, 2.0]])
    right = torch.tensor([[0.0, -5.0], [1e-30, 1e-30], [0.5, 0.0]])
    result = directions(left, right)
    pairs = dict(zip(result.left.tolist(), result.right.tolist(), strict=True))
    assert pairs == {0: 2, 1: 0, 2: 1}
    assert result.similarity.tolist() == pytest.approx([1.0, 0.0, 0.5**0.5])


def test_a_permuted_run_is_found():
    g = torch.Generator().manual_seed(3)
    rows, order = torch.randn(50, 12, generator=g), torch.randperm(50, generator=g)
    result = directions(rows, rows[order] * 7)
    assert torch.equal(order[result.right], result.left)
    assert result.summary()["similarity"] == pytest.approx(1.0)
    assert result.chance < 0.9


@pytest.mark.parametrize(("width", "chance"), [(128, 0.29), (64, 0.40)])
def test_chance_of_2000_random_rows(width, chance):
    """The figures of the specification; and random rows are found to be at chance."""
    rows = torch.randn(2, 2000, width, generator=torch.Generator().manual_seed(9))
    result = directions(*rows).summary()
    assert result["chance"] == pytest.approx(chance, abs=0.006)
    assert result["similarity"] == pytest.approx(result["chance"], abs=0.003)
    assert result["strict_chance"] == pytest.approx(result["chance"], abs=0.003)


@pytest.mark.parametrize("signed", [True, False])
def test_rows_of_one_region_are_at_strict_chance_and_twins_above(signed):
    """Unrelated rows that share a mean (where signs count) and a few wide dimensions."""
    g = torch.Generator().manual_seed(4)
    wide = torch.cat([torch.full((6,), 4.0), torch.ones(18)])
    a, b = torch.randn(2, 40, 24, generator=g) * wide + signed * wide.flip(0)
    unrelated = directions(a, b, signed=signed).summary()
    assert unrelated["similarity"] > unrelated["chance"] + 0.1
    assert unrelated["similarity"] == pytest.approx(unrelated["strict_chance"], abs=0.03)
    twins = directions(a, a + 0.1 * b, signed=signed).summary()
    assert twins["similarity"] > twins["strict_chance"] + 0.1


def test_opposite_rows_are_the_same_unit_where_they_have_no_sign():
    left, right = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[-1.0, -1.0], [-2.0, 0.0]])
    assert directions(left, right).similarity.tolist() == pytest.approx([-(0.5**0.5)] * 2)
    result = directions(left, right, signed=False)
    assert result.right.tolist() == [1, 0]
    assert result.similarity.tolist() == pytest.approx([1.0, 1.0])
    assert result.chance > 0


def test_runs_of_dead_rows_only():
    result = directions(torch.zeros(2, 3), torch.zeros(4, 3))
    assert result.dead == (2, 4)
    assert result.summary()["similarity"] == result.strict_chance == 0


def test_rows_of_the_caller_do_not_change():
    rows = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    rows[1, 2] = 0
    before = rows.clone()
    result = directions(*rows)
    assert torch.equal(rows, before)
    wide = directions(*rows.double())
    assert torch.equal(result.similarity, wide.similarity)
    assert (result.chance, result.strict_chance) == (wide.chance, wide.strict_chance)


def test_other_widths_are_refused():
    with pytest.raises(ValueError, match=r"right is \(2, 4\); expected \(any, 3\)"):
        directions(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="right holds a number that is not finite"):
        directions(torch.zeros(2, 3), torch.full((2, 3), torch.inf))


# Parts.


def test_profiles_are_what_consistency_counts():
    score = Consistency(2, 3)
    hits = torch.tensor([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]]).bool()
    score.update(hits, torch.tensor([[True, True, False], [True, False, False]]))
    assert profile(score).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    result = parts(profile(score), torch.tensor([[0.0, 3.0, 4.0], [0.0, 0.0, 0.0]]))
    assert dict(zip(result.left.tolist(), result.right.tolist(), strict=True)) == {0: 1, 1: 0}
    assert result.similarity.tolist() == pytest.approx([0.0, 0.6])
    assert 0 <= result.chance < 1
    assert result.dead == (0, 1)


def test_a_common_liking_for_parts_is_at_strict_chance():
    """All units look mostly at one part: far above chance, but not above units of the same liking."""
    g = torch.Generator().manual_seed(2)
    a, b = torch.rand(2, 60, 6, generator=g) * torch.tensor([1.0, 0.2, 0.2, 0.2, 0.2, 0.2])
    result = parts(a, b).summary()
    assert result["similarity"] > result["chance"] + 0.02
    assert result["similarity"] == pytest.approx(result["strict_chance"], abs=0.02)
