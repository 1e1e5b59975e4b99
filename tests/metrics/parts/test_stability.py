import pytest
import torch
from oracle import stability
from worlds import Toy, batch, keypoints, maps, own_class, take

from zoo.metrics import Stability, Suite, hits, peak
from zoo.metrics.perturbations.geometry import Flip, Shift

OWNER = [0, 0, 0, 1, 1, 2, 3, 3]


@pytest.mark.parametrize("protocol", ["huang2023-v2", "huang2023-v1"])
@pytest.mark.parametrize("kind", ["random", "constant", "levels", "peaks", "plateau"])
def test_equals_the_loop(kind, protocol):
    for seed, side in enumerate((224, 32, 64)):
        one, two = maps(kind, (12, 8, 7, 7), seed), maps(kind, (12, 8, 7, 7), seed + 1)
        points, visible = keypoints(12, 6, side, seed)
        labels = torch.tensor([0, 1, 1, 2] * 3)
        shown, before = own_class(one, labels, OWNER)
        _, after = own_class(two, labels, OWNER)
        score = Stability(len(OWNER), 6, protocol=protocol)
        pair = [hits(peak(x, side), points, visible, size=side) for x in (before, after)]
        score.update(*pair, shown)
        first = protocol == "huang2023-v1"
        loop = stability(one.numpy(), two.numpy(), points, visible, labels.tolist(), OWNER, side, first)
        assert float(score.compute()["stability"]) == pytest.approx(loop, rel=1e-14)


def counted(before, after, **more):
    before, after = (torch.tensor(x).bool() for x in (before, after))
    score = Stability(before.shape[1], before.shape[2], **more)
    score.update(before, after)
    return {key: value.tolist() for key, value in score.compute().items()}


def test_the_first_release_only_counted():
    before, after = [[[1, 0]], [[1, 0]]], [[[0, 1]], [[1, 0]]]
    assert counted(before, after)["stability"] == 50
    assert counted(before, after, protocol="huang2023-v1")["stability"] == 100


def test_vacuous_pairs_are_counted_apart():
    result = counted([[[0, 0]], [[1, 1]], [[0, 0]], [[1, 0]]], [[[0, 0]], [[1, 0]], [[0, 0]], [[1, 0]]])
    assert result["stability"] == 75
    assert result["vacuous"] == 0.5
    assert result["nonvacuous"] == 50
    assert result["jaccard"] == 0.75


def test_falling_silent_is_a_change():
    part_hits = torch.ones(4, 1, 2, dtype=torch.bool)
    score = Stability(1, 2)
    score.update(
        part_hits,
        part_hits,
        gate_after=torch.tensor([[1], [1], [1], [0]]).bool(),
        moved=torch.tensor([[4.0], [0], [0], [0]]),
    )
    readouts = score.compute()
    assert [float(readouts[k]) for k in ("stability", "survival", "displacement")] == [75, 0.75, 1]


def test_units_without_a_claim_are_left_out_of_the_mean():
    part_hits = torch.ones(2, 2, 1, dtype=torch.bool)
    score = Stability(3, 1)
    score.update(part_hits, part_hits, torch.tensor([[0, -1], [0, 2]]))
    readouts = score.compute()
    assert float(readouts["stability"]) == 100
    assert readouts["unit/claims"].tolist() == [2, 0, 1]
    assert readouts["unit/stability"].isnan().tolist() == [False, True, False]


def test_draws_are_kept_apart():
    part_hits, none = torch.ones(2, 1, 1, dtype=torch.bool), torch.zeros(2, 1, 1, dtype=torch.bool)
    score = Stability(1, 1, draws=2)
    score.update(part_hits, part_hits, draw=0)
    score.update(part_hits, none, draw=1)
    readouts = score.compute()
    assert [float(readouts[k]) for k in ("stability", "spread", "draws", "support")] == [50, 50, 2, 2]
    with pytest.raises(ValueError, match="draw is 2"):
        score.update(part_hits, part_hits, draw=2)


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"draws": 1.5}, {"draws": "3"}, {"draws": None}, {"protocol": {}}])
def test_refuses_arguments_that_mean_nothing(wrong):
    with pytest.raises(ValueError, match=rf"^{next(iter(wrong))} is .*; expected"):
        Stability(2, 2, **wrong)


def test_more_draws_are_the_same_definition():
    assert Stability(1, 1, draws=3).protocol == Stability(1, 1).protocol == "huang2023-v2"


def test_protocols_choose_the_noise():
    with pytest.raises(ValueError, match="huang2023-v1"):
        Stability(1, 1, protocol="v3")
    clips = [Stability(1, 1, protocol=f"huang2023-v{v}").perturbations[0][0].clip for v in (1, 2)]
    assert clips == [None, 0.25]


class Follows(Toy):
    """Prototypes that look at brightness with as many cells as pixels, so that they follow what moves."""

    def explain(self, x, target=None, shown=10):
        wide = torch.nn.functional.interpolate(x, scale_factor=8, mode="nearest")
        return super().explain(wide, target, shown)


def test_a_unit_that_follows_is_stable_under_what_moves():
    """Flipped maps peak at the mirror image, so flips change nothing; a border that is filled in does."""
    samples = batch(20)
    for change, least, far in ((Flip(), 99, 1.01), (Shift(2), 85, 6)):
        suite = Suite([{"score": "stability", "perturbation": change}], Follows().units, list("abcde"))
        suite.update(Follows(), samples)
        result = suite.compute()["stability"]
        assert result.value > least
        assert result.more["displacement"] < far
        assert result.protocol == f"zoo-stability-v1/{change.label}"


def test_parts_that_left_count_on_neither_side():
    """Part 0 is always hit, part 1 is hit before and leaves: what is left is the same."""
    model, change, samples = Toy().eval(), Shift(6), batch(13)
    suite = Suite([{"score": "stability", "perturbation": {"name": "shift", "pixels": 6}}], model.units, list("abcde"))
    suite.update(model, samples)
    new = change(samples, 0)
    shown = model.units.of_class(samples.y)
    both = samples.visible & new.visible
    one, two = (hits(peak(model.explain(b.x, b.y, shown).where, 32), b.points, both, size=32) for b in (samples, new))
    score = Stability(6, 5)
    score.update(one, two, shown)
    result, wanted = suite.compute()["stability"], score.compute()
    assert result.value == float(wanted["stability"])
    assert result.more["vacuous"] == float(wanted["vacuous"])
    assert not torch.equal(both, samples.visible)


@pytest.mark.parametrize("perturbation", ["blur", "jpeg", "shift", "flip", "rotate", {"name": "noise", "std": 0.4}])
def test_no_perturbation_depends_on_batches(perturbation):
    results = []
    for size in (13, 5):
        suite = Suite([{"score": "stability", "perturbation": perturbation}], Toy().units, list("abcde"))
        for rows in torch.arange(13).split(size):
            suite.update(Toy(), take(batch(), rows))
        results.append(suite.compute()["stability"])
    assert results[0].value == results[1].value
    assert results[0].more == pytest.approx(results[1].more, rel=1e-12)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"perturbation": "flip", "protocol": "huang2023-v1"}, "expected no perturbation"),
        ({"perturbation": "flip", "draws": 2}, "draws is 2; flip is deterministic"),
        ({"perturbation": "flap"}, "did you mean flip"),
    ],
)
def test_refuses_perturbations_that_make_no_sense(wrong, words):
    with pytest.raises(ValueError, match=words):
        Stability(2, 2, **wrong)
