import pytest
import torch
from oracle import stability
from worlds import keypoints, maps, own_class

from zoo.metrics import Stability, hits, peak

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
    found = counted([[[0, 0]], [[1, 1]], [[0, 0]], [[1, 0]]], [[[0, 0]], [[1, 0]], [[0, 0]], [[1, 0]]])
    assert found["stability"] == 75
    assert found["vacuous"] == 0.5
    assert found["nonvacuous"] == 50
    assert found["jaccard"] == 0.75


def test_falling_silent_is_a_change():
    met = torch.ones(4, 1, 2, dtype=torch.bool)
    score = Stability(1, 2)
    score.update(
        met, met, gate_after=torch.tensor([[1], [1], [1], [0]]).bool(), moved=torch.tensor([[4.0], [0], [0], [0]])
    )
    found = score.compute()
    assert [float(found[k]) for k in ("stability", "survival", "displacement")] == [75, 0.75, 1]


def test_units_without_a_claim_are_left_out_of_the_mean():
    met = torch.ones(2, 2, 1, dtype=torch.bool)
    score = Stability(3, 1)
    score.update(met, met, torch.tensor([[0, -1], [0, 2]]))
    found = score.compute()
    assert float(found["stability"]) == 100
    assert found["unit/claims"].tolist() == [2, 0, 1]
    assert found["unit/stability"].isnan().tolist() == [False, True, False]


def test_draws_are_kept_apart():
    met, none = torch.ones(2, 1, 1, dtype=torch.bool), torch.zeros(2, 1, 1, dtype=torch.bool)
    score = Stability(1, 1, draws=2)
    score.update(met, met, draw=0)
    score.update(met, none, draw=1)
    found = score.compute()
    assert [float(found[k]) for k in ("stability", "spread", "draws", "support")] == [50, 50, 2, 2]
    with pytest.raises(ValueError, match="draw is 2"):
        score.update(met, met, draw=2)


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
