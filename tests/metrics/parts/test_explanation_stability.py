"""Stability of explanations without parts: by hand, against loops, and through a suite."""

from dataclasses import replace

import pytest
import torch
from scipy.stats import spearmanr
from worlds import Toy, batch, take

from zoo.batch import Batch
from zoo.explanation import Explanation, Units
from zoo.metrics import Suite
from zoo.metrics.base import Record
from zoo.metrics.parts.explanation_stability import ExplanationStability, agreement, cosine, overlap
from zoo.metrics.perturbations.geometry import Shift
from zoo.metrics.perturbations.token_changes import Prefix


def test_by_hand():
    """Of the two largest above 0: 0 and 1 become 1 and 2; then one alone stays; then nothing on both sides."""
    before = torch.tensor([[3.0, 2, 1, -9], [5, -1, -2, -3], [0, 0, 0, 0]])
    after = torch.tensor([[0.0, 2, 1, -9], [5, 1, -2, -3], [0, 0, 0, 0]])
    assert overlap(before, after, 2).tolist() == [1 / 3, 0.5, 1]
    score = ExplanationStability(top=2)
    score.update(before, after, torch.tensor([[3.0, 8], [5, 8], [4, 8]]), torch.tensor([[True, False]]).expand(3, 2))
    readouts = score.compute()
    assert float(readouts["overlap"]) == pytest.approx((1 / 3 + 0.5 + 1) / 3)
    assert float(readouts["displacement"]) == 4
    assert float(readouts["rank"]) == pytest.approx((0.4 + 1 + 1) / 3)
    assert (int(readouts["draws"]), float(readouts["spread"]), int(readouts["support"])) == (1, 0, 3)


def test_rank_and_cosine_equal_loops():
    g = torch.Generator().manual_seed(0)
    one, two = (torch.randint(-2, 4, (20, 8), generator=g).double() for _ in range(2))
    for i in range(20):
        assert float(agreement(one, two)[i]) == pytest.approx(spearmanr(one[i], two[i]).statistic)
        wanted = float((one[i] @ two[i]) / (one[i].norm() * two[i].norm()))
        assert float(cosine(one, two)[i]) == pytest.approx(wanted)
    assert cosine(one * 1e-200, two * 1e200) == pytest.approx(cosine(one, two))


def test_nothing_against_nothing_and_against_something():
    zero, flat, positive = (
        torch.zeros(1, 3).double(),
        torch.full((1, 3), 2.0).double(),
        torch.tensor([[1.0, 2, 3]]).double(),
    )
    assert [float(cosine(*pair)) for pair in ((zero, zero), (zero, positive), (positive, zero))] == [1, 0, 0]
    assert float(cosine(positive, -positive)) == pytest.approx(-1)
    assert [float(agreement(*pair)) for pair in ((flat, zero), (flat, positive), (positive, flat))] == [1, 0, 0]


def test_draws_are_kept_apart():
    score = ExplanationStability(draws=2)
    x = torch.tensor([[1.0, 0.0]])
    score.update(x, x, draw=0)
    score.update(x, x.flip(1), draw=1)
    readouts = score.compute()
    assert [float(readouts[k]) for k in ("overlap", "spread", "rank", "cosine", "support")] == [0.5, 0.5, 0, 0.5, 1]
    assert readouts["displacement"].isnan()
    with pytest.raises(ValueError, match="draw is 2"):
        score.update(x, x, draw=2)


class Follows(torch.nn.Module):
    """A model that shows where the brightest cell is; it follows a shift by whole cells."""

    units = Units("code", ["a", "b"])

    def explain(self, x, target=None, shown=10):
        where = torch.nn.functional.avg_pool2d(x[:, :2], 4)
        strength = where.flatten(2).amax(2)
        ids = torch.arange(2).expand(len(x), 2) if isinstance(shown, int) else shown
        return Explanation(self.units, strength, target, strength, strength, torch.zeros(len(x)), ids, where)


def test_displacement_is_from_where_a_place_should_be():
    samples = batch(6, side=64)
    x = torch.zeros(6, 3, 64, 64)
    x[:, :, 32:36, 28:32] = 1
    samples = replace(samples, x=x, points=None, visible=None)
    for change, moves in ((Shift(12), True), (lambda b, draw: b, False)):
        suite = Suite([{"score": "explanation_stability", "perturbation": change}], Follows.units)
        suite.update(Follows(), samples)
        result = suite.compute()["explanation_stability"].more["displacement"]
        assert result < 4 if moves else result == 0  # a cell has 4 pixels
    plain = Suite([{"score": "explanation_stability", "perturbation": lambda b, d: Shift(12)(b, d)}], Follows.units)
    plain.update(Follows(), samples)
    assert plain.compute()["explanation_stability"].more["displacement"] > 4  # it does not say where places go


def test_places_of_tokens():
    """The second token matters; after a prefix of two it is the fourth, and a unit that stays has moved by two."""
    units = Units("code", ["a", "b"])

    def record_of(x, peaks):
        where = torch.nn.functional.one_hot(torch.tensor([peaks]), x.shape[1]).float()
        says = torch.ones(1, 2)
        explanation = Explanation(
            units, says, torch.zeros(1).long(), says, says, torch.zeros(1), torch.tensor([[0, 1]]), where
        )
        return Record(Batch(x, torch.zeros(1).long(), torch.zeros(1).long()), explanation, torch.ones(1, 2).bool())

    x, change = torch.tensor([[5, 6, 7]]), Prefix((8, 9))
    score = ExplanationStability(change)
    score.update_from(record_of(x, [1, 1]), record_of(change.inputs(x, torch.tensor([0]), 0), [3, 1]))
    assert float(score.compute()["displacement"]) == 1


def test_a_suite_of_perturbations_does_not_depend_on_batches():
    scores = [
        {"score": "explanation_stability", "name": str(name), "perturbation": name, "top": 2, "interval": True}
        for name in ("noise", "blur", "jpeg", "shift", "flip", "rotate")
    ]
    results = []
    for size in (13, 4):
        suite = Suite(scores, Toy(owned=False).units, shown=3)
        for rows in torch.arange(13).split(size):
            suite.update(Toy(owned=False), take(batch(), rows))
        results.append(suite.compute())
    for name, result in results[0].items():
        assert 0 <= result.value <= 1
        assert result.protocol == f"zoo-explanation-stability-v1/{name}/top2"
        assert result.more == pytest.approx(results[1][name].more, rel=1e-9)
        assert -1 <= result.more["cosine low"] <= result.more["cosine"] <= result.more["cosine high"] <= 1


@pytest.mark.parametrize(
    "wrong", [{"top": 0}, {"draws": 0}, {"perturbation": "nose"}, {"perturbation": "flip", "draws": 2}]
)
def test_refuses_arguments_that_mean_nothing(wrong):
    with pytest.raises(ValueError, match=r"is .*; (expected|no such|flip is)"):
        ExplanationStability(**wrong)
