"""Nulls: what is exchanged with what, and what stays."""

from dataclasses import replace
from types import SimpleNamespace as Namespace

import pytest
import torch
from rows_parts import CONCEPTS
from test_chance_adjusted import SIDE, labelled, world

from zoo.data.own.loaders import Loaders
from zoo.metrics import ChanceAdjusted, Consistency, LabelConsistency
from zoo.metrics.wrappers._nulls import exchanged


def test_permuting_exchanges_places_inside_the_gate_group():
    """Three instances, one of which unit 0 does not claim; its place may go nowhere, and nothing comes from there."""
    score = ChanceAdjusted(Consistency(2, 1), "permute", draws=1)
    places = torch.tensor([[[1, 1], [2, 2]], [[3, 3], [4, 4]], [[5, 5], [6, 6]]])
    gate = torch.tensor([[True, True], [False, True], [True, True]])
    score.update(
        places, torch.zeros(3, 1, 2), torch.ones(3, 1).bool(), gate=gate, sample_ids=torch.arange(3), size=(9, 9)
    )
    rows, orders = score.rows(), set()
    for draw in range(40):
        moved = score.moved(rows, draw)
        assert moved[1, 0].tolist() == [3, 3]
        assert sorted(moved[[0, 2], 0, 0].tolist()) == [1, 5]
        assert sorted(moved[:, 1, 0].tolist()) == [2, 4, 6]
        orders.add(tuple(moved[:, 1, 0].tolist()))
    assert len(orders) == 6
    assert torch.equal(rows["places"], places)


def test_units_of_the_same_instances_are_exchanged_alike():
    score = ChanceAdjusted(Consistency(2, 1), "permute")
    places = torch.arange(10)[:, None, None].expand(10, 2, 2)
    score.update(places, torch.zeros(10, 1, 2), torch.ones(10, 1).bool(), sample_ids=torch.arange(10), size=(20, 20))
    for draw in range(5):
        moved = score.moved(score.rows(), draw)
        assert torch.equal(moved[:, 0], moved[:, 1])
        assert not torch.equal(moved, places)


def test_dealing_is_uniform():
    counts = torch.zeros(3, 3)
    groups = torch.tensor([1, 0, 1, 0, 1])
    for seed in range(3000):
        keys = torch.randint(0, 2**60, (5,), generator=torch.Generator().manual_seed(seed))
        whose = exchanged(groups, keys)
        assert torch.equal(groups[whose], groups)
        assert whose.unique().numel() == 5
        counts += (whose[[0, 2, 4], None] == torch.tensor([0, 2, 4])).float()
    assert (counts / 3000 - 1 / 3).abs().max() < 0.04


def test_places_of_the_other_nulls():
    rows = world(200)
    more = {"size": (SIDE, SIDE)}
    shift, uniform, units = (ChanceAdjusted(Consistency(2, 2), n) for n in ("shift", "uniform", "random_units"))
    for score in (shift, uniform, units):
        score.update(**rows, **more)
    moved = shift.moved(shift.rows(), 3)
    step = (moved - rows["places"]) % SIDE
    assert torch.equal(step[:, 0], step[:, 1])
    assert len(step[:, 0].unique(dim=0)) > 190
    anywhere = uniform.moved(uniform.rows(), 0).double()
    assert 0 <= float(anywhere.min()) <= float(anywhere.max()) < SIDE
    assert float(anywhere.mean()) == pytest.approx(SIDE / 2, rel=0.1)
    dealt_out = units.moved(units.rows(), 0)
    kept = (dealt_out == rows["places"]).all(-1).all(-1)
    swapped = (dealt_out == rows["places"].flip(1)).all(-1).all(-1)
    assert bool((kept | swapped).all())
    assert 0.35 < float(kept.double().mean()) < 0.65


def test_shifted_labels_keep_their_neighbours():
    rows = labelled(10)
    score = ChanceAdjusted(LabelConsistency(7, CONCEPTS), "shift")
    score.update(**rows)
    active = rows["places"]
    for draw in range(8):
        moved = score.moved(score.rows(), draw)
        steps = [s for s in range(10) if torch.equal(active.roll(s, 0), moved)]
        assert len(steps) == 1
        assert steps[0] > 0


def test_shifted_labels_stay_inside_their_sequence():
    """Sequences of 4, 5 and 1 tokens, fed out of order: each is rolled by a step of its own, the last cannot move."""
    rows = labelled(10)
    sequence = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1, 2])
    score = ChanceAdjusted(LabelConsistency(7, CONCEPTS), "shift")
    for part in (slice(6, 10), slice(0, 6)):
        score.update(**{name: value[part] for name, value in rows.items()}, sequence_ids=sequence[part])
    active, steps = rows["places"], set()
    for draw in range(20):
        moved = score.moved(score.rows(), draw)
        step = []
        for tokens in (slice(0, 4), slice(4, 9)):
            own = active[tokens]
            (shift_step,) = (k for k in range(1, len(own)) if torch.equal(own.roll(k, 0), moved[tokens]))
            step.append(shift_step)
        assert torch.equal(moved[9], active[9])
        steps.add(tuple(step))
    assert len(steps) > 5


def test_sequences_of_own_loaders_reach_the_null():
    """From a loader of the user to the null: labels are shifted inside the sequences that the loader names."""
    sequence = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1, 2])
    rows = labelled(10)
    loader = [{"x": rows["places"].float(), "y": torch.arange(10) % 2, "sequence": sequence}]
    data = Loaders(train=loader, test=loader)
    score = ChanceAdjusted(LabelConsistency(7, CONCEPTS), "shift")
    for loaded in data.loader("test", batch_size=4):
        batch = replace(loaded, concepts=rows["points"][loaded.index])
        explanation = Namespace(strength=batch.x, contribution=batch.x, shown=None)
        score.update_from(Namespace(batch=batch, explanation=explanation, predicted=None))
    assert torch.equal(score.rows()["sequence"], sequence)
    moved = score.moved(score.rows(), 0)
    assert torch.equal(moved[9], rows["places"][9])
    assert torch.equal(moved[:4].sum(0), rows["places"][:4].sum(0))
    assert torch.equal(moved[4:9].sum(0), rows["places"][4:9].sum(0))
