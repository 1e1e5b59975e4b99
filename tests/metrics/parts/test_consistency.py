import numpy as np
import pytest
import torch
from oracle import consistency
from worlds import keypoints, maps, own_class

from zoo.metrics import Consistency, hits, peak

OWNER = [0, 0, 0, 1, 1, 2, 3, 3]  # ragged; class 3 has no images


def fast(world, points, visible, labels, side, score=None):
    shown, where = own_class(world, labels, OWNER)
    score = score or Consistency(len(OWNER), visible.shape[1])
    score.update(hits(peak(where, side), points, visible, size=side), visible, shown)
    return score.compute()


@pytest.mark.parametrize("kind", ["random", "constant", "levels", "integers", "peaks", "plateau", "mirrored"])
@pytest.mark.parametrize(("cells", "side"), [(7, 224), (4, 32), (5, 64)])
def test_equals_the_loop(kind, cells, side):
    for seed in range(3):
        world = maps(kind, (9, len(OWNER), cells, cells), seed)
        points, visible = keypoints(9, 6, side, seed)
        labels = torch.arange(9) % 3
        loop = consistency(world.numpy(), points, visible, labels.tolist(), OWNER, side)
        assert float(fast(world, points, visible, labels, side)["consistency"]) == loop


def test_equals_the_loop_when_units_are_consistent():
    """Prototypes that follow a part for four images of five: exactly at the threshold."""
    side, b = 224, 10
    points = torch.full((b, 3, 2), 30.0, dtype=torch.float64)
    points[:, 1] = 200.0
    visible = torch.ones(b, 3, dtype=torch.bool)
    visible[:, 2] = False
    world = torch.zeros(b, len(OWNER), 7, 7)
    world[:, :, 0, 0] = 1
    labels = torch.zeros(b, dtype=torch.int64)
    world[:2, 0] = 0
    world[:2, 0, 3, 6] = 1  # prototype 0 misses in 2 of 10
    world[:3, 1] = 0
    world[:3, 1, 3, 6] = 1  # prototype 1 misses in 3 of 10
    result = fast(world, points, visible, labels, side)
    for dtype in (np.float32, np.float64):
        loop = consistency(world.numpy(), points, visible, labels.tolist(), OWNER, side, dtype=dtype)
        assert float(result["consistency"]) == loop == 25.0
    assert result["unit/rate"].tolist() == [0.8, 0.7, 1, 0, 0, 0, 0, 0]
    assert result["unit/part"].tolist() == [0, 0, 0, -1, -1, -1, -1, -1]
    assert result["unit/support"][:3].tolist() == [10, 10, 10]
    assert (int(result["dead"]), int(result["unevaluable"])) == (5, 5)
    assert float(result["soft"]) == pytest.approx(2.5 / 8)
    assert int(result["labelled"]) == 1
    assert float(result["coverage"]) == pytest.approx(1 / 3)
    assert float(result["purity"]) == pytest.approx(2.5 / 3)


def test_claims_on_images_without_the_part_are_unevaluable_not_dead():
    score = Consistency(2, 3)
    score.update(torch.ones(4, 2, 3, dtype=torch.bool), torch.zeros(4, 3, dtype=torch.bool))
    readouts = score.compute()
    assert (int(readouts["dead"]), int(readouts["unevaluable"]), float(readouts["consistency"])) == (0, 2, 0.0)


def test_support_counts_visible_instances():
    part_hits, visible = torch.ones(3, 1, 2, dtype=torch.bool), torch.tensor([[1, 1], [1, 0], [1, 0]]).bool()
    for least, value in ((1, 100), (3, 100), (4, 0)):
        score = Consistency(1, 2, support=least)
        score.update(part_hits, visible)
        assert float(score.compute()["consistency"]) == value


def test_dense_and_compact_forms_agree():
    g = torch.Generator().manual_seed(0)
    b, u, p = 20, 6, 4
    part_hits, visible = torch.rand(b, u, p, generator=g) > 0.4, torch.rand(b, p, generator=g) > 0.3
    gate = torch.rand(b, u, generator=g) > 0.5
    dense, compact, padded = (Consistency(u, p) for _ in range(3))
    dense.update(part_hits, visible, gate=gate)
    compact.update(part_hits, visible, torch.arange(u).expand(b, u), gate)
    order = torch.rand(b, u, generator=g).argsort(1)
    ids = torch.where(gate.gather(1, order), order, -1)  # what the gate refuses is padding
    padded.update(part_hits.gather(1, order[..., None].expand(b, u, p)), visible, ids)
    for key, value in dense.compute().items():
        assert torch.equal(value, compact.compute()[key])
        assert torch.equal(value, padded.compute()[key])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hits": torch.ones(2, 3, 9).bool()}, "hits"),
        ({"visible": torch.ones(2, 9).bool()}, "visible"),
        ({"unit_ids": torch.full((2, 3), 8)}, "unit_ids holds 8"),
        ({"unit_ids": torch.zeros(2, 1).long()}, "unit_ids"),
        ({"gate": torch.ones(2, 1).bool()}, "gate"),
        ({"sample_ids": torch.ones(5).long()}, "sample_ids"),
    ],
)
def test_says_what_does_not_fit(change, words):
    right = {
        "hits": torch.ones(2, 3, 4).bool(),
        "visible": torch.ones(2, 4).bool(),
        "unit_ids": torch.zeros(2, 3).long(),
    }
    with pytest.raises(ValueError, match=words):
        Consistency(8, 4).update(**(right | change))


@pytest.mark.parametrize(
    "wrong",
    [
        {"tau": -0.1},
        {"tau": 1.1},
        {"tau": "abc"},
        {"tau": float("nan")},
        {"tau": None},
        {"tau": True},
        {"support": 0},
        {"support": 1.5},
        {"support": "2"},
        {"protocol": "huang"},
        {"protocol": ["huang2023-v2"]},
        {"num_units": 0},
    ],
    ids=str,
)
def test_refuses_arguments_that_mean_nothing(wrong):
    with pytest.raises(ValueError, match=rf"^{next(iter(wrong))} is .*; expected"):
        Consistency(**({"num_units": 2, "part_count": 2} | wrong))


def test_threshold_of_nothing_still_asks_for_support():
    score = Consistency(3, 2, tau=0)
    score.update(torch.zeros(1, 1, 2, dtype=torch.bool), torch.ones(1, 2).bool(), torch.tensor([[0]]))
    assert float(score.compute()["consistency"]) == pytest.approx(100 / 3)


@pytest.mark.parametrize(
    ("how", "protocol"),
    [
        ({}, "huang2023-v2"),
        ({"tau": 0.8, "support": 1}, "huang2023-v2"),
        ({"tau": 0.1}, "huang2023-v2/tau0.1"),
        ({"tau": 1, "support": 10}, "huang2023-v2/tau1.0/support10"),
        ({"support": 2, "protocol": "huang2023-v1"}, "huang2023-v1/support2"),
    ],
    ids=str,
)
def test_another_definition_has_another_id(how, protocol):
    assert Consistency(2, 2, **how).protocol == protocol


def test_read_outs_by_hand():
    """Unit 0 meets part 0 in 9 of 10 images; unit 1 claims 5 and meets part 1, which 4 show, in 2; unit 2 is dead."""
    b = 10
    visible = torch.ones(b, 2).bool()
    visible[4:, 1] = False
    part_hits = torch.zeros(b, 3, 2).bool()
    part_hits[:9, 0, 0] = True
    part_hits[:2, 1, 1] = True
    gate = torch.ones(b, 3).bool()
    gate[5:, 1], gate[:, 2] = False, False
    score = Consistency(3, 2, aligned=[0, 1, -1])
    score.update(part_hits, visible, gate=gate)
    readouts = score.compute()
    assert float(readouts["soft"]) == pytest.approx((0.9 + 0.5 + 0) / 3)
    assert float(readouts["purity"]) == pytest.approx((0.9 + 0.4) / 2)
    assert float(readouts["precision"]) == pytest.approx((0.9 + 0.5) / 2)
    assert float(readouts["recall"]) == pytest.approx((0.9 + 0.5) / 2)
    assert float(readouts["f1"]) == pytest.approx((18 / 20 + 4 / 9) / 2)
    assert float(readouts["iou"]) == pytest.approx((9 / 11 + 2 / 7) / 2)
    assert float(readouts["coverage"]) == pytest.approx((18 / 20 + 4 / 9) / 2)
    assert float(readouts["aligned"]) == 50
    assert [int(readouts[k]) for k in ("detectors", "labelled", "labels", "dead", "unevaluable")] == [2, 0, 0, 1, 1]
    assert readouts["unit/consistent"].tolist() == [1, 0, 0]


def test_read_outs_equal_a_loop():
    g = torch.Generator().manual_seed(2)
    b, u, p = 60, 6, 4
    part_hits, visible = torch.rand(b, u, p, generator=g) < 0.7, torch.rand(b, p, generator=g) < 0.8
    part_hits[:, 0, 0] = True
    gate = torch.rand(b, u, generator=g) < torch.tensor([1, 0.8, 0.5, 0.2, 0.05, 0])
    score = Consistency(u, p)
    score.update(part_hits, visible, gate=gate)
    readouts = score.compute()
    f1, iou, rate, pure, names = (torch.zeros(u, p, dtype=torch.float64) for _ in range(5))
    for k in range(u):
        for part in range(p):
            rows = [i for i in range(b) if gate[i, k]]
            n = sum(bool(visible[i, part]) for i in rows)
            h = sum(bool(visible[i, part] and part_hits[i, k, part]) for i in rows)
            v, f = int(visible[:, part].sum()), len(rows)
            f1[k, part], iou[k, part] = 2 * h / max(1, f + v), h / max(1, f + v - h)
            rate[k, part], pure[k, part] = h / max(1, n), h / max(1, f)
            names[k, part] = h >= 10 and h / n >= 0.95
    alive = gate.any(0)
    for name, table in (("f1", f1), ("iou", iou), ("purity", pure)):
        assert float(readouts[name]) == pytest.approx(float(table[alive].amax(1).mean()))
    assert float(readouts["coverage"]) == pytest.approx(float(f1.amax(0).mean()))
    assert float(readouts["soft"]) == pytest.approx(float(rate.amax(1).mean()))
    assert int(readouts["labels"]) == int(names.sum()) > 0
    assert int(readouts["labelled"]) == int(names.any(1).sum())
    assert int(readouts["detectors"]) == int((iou >= 0.04).any(1).sum())


@pytest.mark.parametrize("wrong", [[0, 2], [0], [0.0, 1.0], [-2, 0]])
def test_refuses_parts_that_are_not_there(wrong):
    with pytest.raises(ValueError, match="aligned"):
        Consistency(2, 2, aligned=wrong)
