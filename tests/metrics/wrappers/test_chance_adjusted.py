"""Chance levels: a fixed_place is worth nothing, tracking is worth all of it, and loops find the same."""

import copy
import math
import os
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from rows_parts import CONCEPTS
from worlds import Toy, batch, take

from zoo.concept_schema import Concept, ConceptSchema
from zoo.metrics import Accuracy, Consistency, Stability, Suite, hits
from zoo.metrics.parts._localization import cells
from zoo.metrics.parts.label_consistency import LabelConsistency
from zoo.metrics.wrappers.chance_adjusted import ChanceAdjusted

pytestmark = pytest.mark.filterwarnings("ignore:The ``compute`` method")
SIDE = 224
NULLS = ("permute", "shift", "uniform", "random_units", "constant", "base_rate")


def world(b=60, seed=0):
    """Part 0 wanders, part 1 stays at the top left; unit 0 follows part 0, unit 1 looks at the top left."""
    g = torch.Generator().manual_seed(seed)
    points = torch.stack([torch.randint(0, SIDE, (b, 2), generator=g), torch.full((b, 2), 20)], 1).double()
    places = torch.stack([points[:, 0], torch.full((b, 2), 10.0)], 1).long()
    visible = torch.rand(b, 2, generator=g) > 0.1
    return {"places": places, "points": points, "visible": visible, "sample_ids": torch.arange(b)}


def chance(null, score=None, rows=None, draws=20, order=slice(None), split=100):
    rows = rows or world()
    total = ChanceAdjusted(score or Consistency(2, 2), null, draws=draws)
    rows = {k: v[order] for k, v in rows.items()}
    for chunk in torch.arange(len(rows["places"])).split(split):
        total.update(**{k: v[chunk] for k, v in rows.items()}, **({} if total.of_labels else {"size": (SIDE, SIDE)}))
    return {k: float(v) for k, v in total.compute().items()}


def test_a_habit_is_worth_nothing_and_tracking_all_of_it():
    rows = world()
    one = {name: dict(rows, places=rows["places"][:, i : i + 1]) for i, name in enumerate(("tracks", "fixed_place"))}
    result = {name: chance("permute", Consistency(1, 2), rows=x) for name, x in one.items()}
    assert result["fixed_place"]["soft"] == result["tracks"]["soft"] == 1
    assert result["fixed_place"]["soft adjusted"] == result["fixed_place"]["consistency adjusted"] == 0
    assert result["fixed_place"]["soft p"] == 1
    assert result["tracks"]["consistency adjusted"] == 1
    assert result["tracks"]["soft adjusted"] == 1
    assert result["tracks"]["soft chance"] < 0.5
    assert result["tracks"]["soft p"] == pytest.approx(1 / 21)
    assert chance("constant", Consistency(1, 2), rows=one["fixed_place"])["soft adjusted"] == 0


def test_all_nulls_between_both_units():
    for null in NULLS:
        result = chance(null)
        assert result["soft"] == 1
        assert ("soft p" in result) == (null not in ("constant", "base_rate"))
        assert result["soft adjusted"] == pytest.approx((1 - result["soft chance"]) / (1 - result["soft chance"] or 1))
    assert chance("constant")["soft chance"] == 1  # one place sees part 1 always, and it is anyone's best part
    assert chance("shift")["soft chance"] < chance("permute")["soft chance"]


def test_constant_is_the_best_of_a_grid_for_each_unit():
    g = torch.Generator().manual_seed(1)
    points, visible = torch.rand(12, 3, 2, generator=g).double() * SIDE, torch.rand(12, 3, generator=g) > 0.3
    gate = torch.rand(12, 2, generator=g) > 0.4
    best = torch.zeros(2)
    for cell in range(49):
        spot = cells(torch.tensor([cell]), (7, 7), SIDE).expand(12, 1, 2)
        part_hits = hits(spot, points, visible, size=SIDE)[:, 0]
        for unit in range(2):
            own = gate[:, unit]
            n = (visible & own[:, None]).sum(0)
            best[unit] = max(best[unit], float(((part_hits & own[:, None]).sum(0) / n.clamp_min(1)).max()))
    rows = {"places": torch.zeros(12, 2, 2).long(), "points": points, "visible": visible, "gate": gate}
    result = chance("constant", Consistency(2, 3), rows=rows | {"sample_ids": torch.arange(12)})
    assert result["soft chance"] == pytest.approx(float(best.mean()))


def test_base_rates():
    result = chance("base_rate")
    rows = world()
    part_hits = hits(rows["places"], rows["points"], rows["visible"], size=SIDE)
    rate = part_hits.sum((0, 1)) / (2 * rows["visible"].sum(0))
    assert result["soft chance"] == pytest.approx(float(rate.max()))
    labels = torch.tensor([[1, 0], [1, 1], [1, torch.nan], [0, 0]])
    two = LabelConsistency(2, ConceptSchema((Concept("a"), Concept("b"))))
    rows = {"places": torch.ones(4, 2).bool(), "points": labels, "sample_ids": torch.arange(4)}
    result = chance("base_rate", two, rows=rows)
    assert result["soft"] == result["soft chance"] == 0.75
    assert result["soft adjusted"] == 0


def labelled(b=80, same=0.9, seed=0):
    g = torch.Generator().manual_seed(seed)
    labels = (torch.rand(b, 7, generator=g) > 0.6).float()
    noise = torch.rand(b, 7, generator=g) < 0.4
    active = torch.where(torch.rand(b, 7, generator=g) < same, labels.bool(), noise)
    return {"places": active, "points": labels, "sample_ids": torch.arange(b)}


@pytest.mark.parametrize("null", ["permute", "shift", "random_units"])
def test_labels_that_fire_by_chance_and_by_truth(null):
    true, random = (chance(null, LabelConsistency(7, CONCEPTS), rows=labelled(same=s)) for s in (0.9, 0.0))
    assert true["soft p"] == pytest.approx(1 / 21)
    assert true["soft adjusted"] > 0.3
    assert abs(random["soft adjusted"]) < 0.1
    assert random["soft p"] > 0.05


def test_stability_of_a_habit_is_worth_nothing():
    """Unit 0 follows its part when it moves; unit 1 stays, which is stable by fixed_place."""
    rows = world()
    before = hits(rows["places"], rows["points"], rows["visible"], size=SIDE)
    results = {}
    for unit in (0, 1):
        mine = rows | {"places": rows["places"][:, unit : unit + 1], "before": before[:, unit : unit + 1]}
        results[unit] = chance("permute", Stability(1, 2, draws=3), rows=mine)
    assert results[0]["stability"] == results[1]["stability"] == 100
    assert results[0]["stability adjusted"] == pytest.approx(1)
    assert results[0]["stability chance"] < 60
    assert results[0]["stability p"] == pytest.approx(1 / 21)
    assert results[1]["stability adjusted"] == 0


@pytest.mark.parametrize("null", NULLS)
def test_batches_order_merging_and_half_do_not_matter(null):
    rows = world() | {"gate": torch.rand(60, 2, generator=torch.Generator().manual_seed(3)) > 0.3}
    whole = chance(null, rows=rows, draws=3)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(4))
    assert chance(null, rows=rows, draws=3, order=order, split=7) == pytest.approx(whole, rel=1e-12)
    parts = [ChanceAdjusted(Consistency(2, 2), null, draws=3).half() for _ in range(3)]
    with torch.inference_mode():
        for part, chosen in zip(parts, order.split(23), strict=True):
            part.update(**{k: v[chosen] for k, v in rows.items()}, size=(SIDE, SIDE))
    total = ChanceAdjusted(Consistency(2, 2), null, draws=3)
    for i in (2, 0, 1):
        total.merge_state(copy.deepcopy(parts[i]))
    assert {k: float(v) for k, v in total.compute().items()} == pytest.approx(whole, rel=1e-12)


def test_rows_of_different_width_and_padding():
    """Padded slots are no claims: one batch of one unit each beside one of two."""
    rows = world(20)
    wide, mixed = (ChanceAdjusted(Consistency(2, 2), "permute", draws=5) for _ in range(2))
    ids = torch.tensor([[1, -1]]).expand(10, 2)
    narrow = {k: v[:10] for k, v in rows.items()} | {"unit_ids": ids}
    late = {k: v[10:] for k, v in rows.items()} | {"unit_ids": torch.tensor([[0, 1]]).expand(10, 2)}
    for score, first in ((wide, narrow), (mixed, narrow | {"places": rows["places"][:10, :1], "unit_ids": ids[:, :1]})):
        score.update(**first, size=(SIDE, SIDE))
        score.update(**late, size=(SIDE, SIDE))
    readouts, other = wide.compute(), mixed.compute()
    assert {k: float(v) for k, v in readouts.items()} == {k: float(v) for k, v in other.items()}
    assert wide.score.fired.tolist() == [10, 20]


def test_nothing_seen_is_nothing():
    readouts = ChanceAdjusted(Consistency(2, 2)).compute()
    assert int(readouts["support"]) == 0
    assert math.isnan(float(next(iter(readouts.values()))))


def two_sizes():
    score = ChanceAdjusted(Consistency(2, 2))
    for side in (SIDE, 32):
        score.update(**world(), size=(side, side))
    return score


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ChanceAdjusted(Accuracy()), "Accuracy has no chance level"),
        (lambda: ChanceAdjusted(Consistency(2, 2), "permutation"), "null is 'permutation'; expected permute"),
        (lambda: ChanceAdjusted(Stability(2, 2), "base_rate"), "null is 'base_rate'"),
        (lambda: ChanceAdjusted(LabelConsistency(7, CONCEPTS), "uniform"), "null is 'uniform'"),
        (lambda: ChanceAdjusted(Consistency(2, 2), draws=0), "draws is 0"),
        (lambda: ChanceAdjusted(Consistency(2, 2)).update(**world()), "visible and size"),
        (lambda: chance("permute", Consistency(2, 3)), "points is"),
        (lambda: two_sizes().compute(), "images are of 2 sizes"),
        (lambda: Suite([{"score": "accuracy", "chance": "permute"}], Toy().units), "no chance level"),
        (lambda: Suite([{"score": "consistency", "chance": 3}], Toy().units, list("abcde")), "score 'consistency'"),
    ],
)
def test_refuses_what_it_cannot_do(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_suite_adds_the_score_above_chance():
    scores = [
        {"score": "consistency", "chance": ["permute", "constant"], "interval": True},
        {"score": "stability", "chance": "permute", "draws": 2},
    ]
    results = []
    for size in (13, 4):
        suite = Suite(scores, Toy().units, list("abcde"), control=True)
        for rows in torch.arange(13).split(size):
            suite.update(Toy(), take(batch(), rows))
        results.append(suite.compute())
    assert list(results[0]) == [
        "consistency",
        "consistency above chance (permute)",
        "consistency above chance (constant)",
        "consistency (random prototypes)",
        "stability",
        "stability above chance (permute)",
        "stability (random prototypes)",
    ]
    for name, result in results[0].items():
        assert result.value is not None
        assert result.value == pytest.approx(results[1][name].value, rel=1e-12)
        assert result.more == pytest.approx(results[1][name].more, rel=1e-12)
    above = results[0]["consistency above chance (permute)"]
    assert above.protocol == "huang2023-v2/above-permute"
    assert above.more["soft"] == results[0]["consistency"].more["soft"]
    assert 0 < above.more["soft p"] <= 1


def _worker(rank, port, path):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=3)
    suite = Suite(EVERYTHING, Toy().units, list("abcde"))
    mine = ((0, 8), (8, 13), (13, 13))[rank]  # unequal shares, and none
    if mine[0] < mine[1]:
        suite.update(Toy(), take(batch(), slice(*mine)))
    torch.save({name: result.to_json() for name, result in suite.compute().items()}, f"{path}/{rank}.pt")
    dist.destroy_process_group()


EVERYTHING = [
    {"score": "consistency", "interval": True, "chance": list(NULLS)},
    {"score": "stability", "interval": True, "chance": "permute", "draws": 2},
    {"score": "explanation_stability", "interval": True},
]


@pytest.mark.parametrize(
    ("name", "number", "words"),
    [
        ("places", math.nan, "places of input 1 holds nan"),
        ("points", math.inf, "points of input 1 holds inf"),
        ("visible", 0.3, "visible of input 1 holds 0.3"),
        ("gate", 2.0, "gate of input 1 holds 2"),
        ("sample_ids", 0, "sample_ids holds 0 twice"),
    ],
)
def test_wrong_numbers_are_refused(name, number, words):
    rows = {
        "places": torch.ones(2, 1, 2),
        "points": torch.ones(2, 1, 2),
        "visible": torch.ones(2, 1),
        "gate": torch.ones(2, 1),
        "sample_ids": torch.arange(2),
    }
    rows[name][1] = number
    with pytest.raises(ValueError, match=words):
        ChanceAdjusted(Consistency(1, 1)).update(**rows, size=(9, 9))


def test_a_sample_that_was_given_twice_is_refused():
    score = ChanceAdjusted(Consistency(1, 1))
    for _ in range(2):
        score.update(
            torch.ones(1, 1, 2), torch.ones(1, 1, 2), torch.ones(1, 1), sample_ids=torch.tensor([4]), size=(9, 9)
        )
    with pytest.raises(ValueError, match="sample_ids of Consistency holds 4 twice"):
        score.compute()


@pytest.mark.slow
def test_three_processes_agree_with_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(_worker, (port, str(tmp_path)), nprocs=3)
    suite = Suite(EVERYTHING, Toy().units, list("abcde"))
    suite.update(Toy(), batch())
    for name, result in suite.compute().items():
        for rank in range(3):
            loaded = torch.load(tmp_path / f"{rank}.pt")[name]
            assert loaded["value"] == pytest.approx(result.value, rel=1e-12), name
            assert loaded["more"] == pytest.approx(result.to_json()["more"], rel=1e-12)
