import math

import pytest
import torch
import torch.nn.functional as F

from zoo import create_model
from zoo.layers.prototypes.similarity import distances
from zoo.phase import Phase

ALL = {"cluster": 0.8, "separation": -0.08, "l1": 1e-4, "orthogonality": 1.0}


def build(**args):
    torch.manual_seed(0)
    small = {"num_classes": 10, "backbone": "resnet10t", "backbone_level": 1, "pool": 12, "slots": 3, "dim": 8}
    return create_model("protopool", **small | args)


def similarity(d):
    return math.log((d + 1) / (d + 1e-4))


@torch.no_grad()
def test_answer_against_loops(batch):
    model = build().eval()
    model.head.weight.copy_(torch.randn(model.head.weight.shape))
    d = distances(model.feature_map(batch.x), model.prototypes, "log_l2").double()
    for n in range(4):
        slots = []
        for c in range(10):
            for k in range(3):
                u = max(range(12), key=lambda u: float(model.assignment[c, k, u]))  # noqa: B023
                slots.append(similarity(float(d[n, u].min())) - similarity(float(d[n, u].mean())))
        expected = model.head.weight.double() @ torch.tensor(slots, dtype=torch.float64)
        torch.testing.assert_close(model(batch.x)[n].double(), expected, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_loss_against_loops(batch):
    """With hard slots, as in a phase that does not train the assignment."""
    model = build()
    model.configure_phase(Phase(epochs=1, lr={"addon": 1e-3}))
    model.train()
    terms = model.loss(batch, ALL)
    assert tuple(terms) == model.terms
    d = distances(model.feature_map(batch.x), model.prototypes, "log_l2").amin((2, 3))
    q = F.one_hot(model.assigned(), 12).float()
    cluster, separation = [], []
    for n, y in enumerate(batch.y.tolist()):
        top = q[y].sum(0).topk(3).indices.tolist()
        cluster.append(min(float(d[n, u]) for u in range(12) if u in top))
        separation.append(min(float(d[n, u]) for u in range(12) if u not in top))
    assert float(terms["cluster"]) == pytest.approx(sum(cluster) / len(batch), rel=1e-4)
    assert float(terms["separation"]) == pytest.approx(sum(separation) / len(batch), rel=1e-4)
    pairs = [float(q[c, a] @ q[c, b]) for c in range(10) for a in range(3) for b in range(3)]
    assert float(terms["orthogonality"]) == pytest.approx(sum(pairs) / 30 - 1, abs=1e-5)
    assert float(terms["task"]) == pytest.approx(float(F.cross_entropy(model(batch.x), batch.y)), rel=1e-4)


def test_training_samples_slots_and_evaluation_does_not(batch):
    model = build()
    model.configure_phase(Phase(epochs=1, lr={"assignment": 1e-3}))
    model.train()
    first, second = model.sampled_assignment(), model.sampled_assignment()
    assert not torch.equal(first, second)
    torch.testing.assert_close(first.sum(2), torch.ones(10, 3))
    model.loss(batch, {})["task"].backward()
    assert float(model.assignment.grad.abs().sum()) > 0
    model.eval()
    assert torch.equal(model(batch.x), model(batch.x))
    assert torch.equal(model.sampled_assignment(), F.one_hot(model.assigned(), 12).float())


@torch.no_grad()
def test_hardening_changes_no_answer(batch):
    model = build(pool=40, slots=2).eval()
    before, names = model(batch.x), [model.units.names[u] for u in sorted(set(model.assigned().flatten().tolist()))]
    numbers = model.harden(None)
    assert numbers["removed"] + numbers["left"] == 40
    assert numbers["left"] == len(names) < 40
    torch.testing.assert_close(model(batch.x), before)
    assert bool((model.assignment.sum(2) == 1).all())
    assert [n.split(": ")[1] for n in model.units.names] == [n.split(": ")[1] for n in names]
    other = build(pool=40, slots=2).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(batch.x), model(batch.x))


def test_projection_is_restricted_to_the_classes_of_a_prototype(data):
    model = build()
    model.project(data.loader("train"))
    everything = next(iter(data.loader("train", batch_size=1000)))
    slots = model.assigned()
    for u in range(12):
        classes = {c for c in range(10) if u in slots[c].tolist()} or set(range(10))
        assert int(everything.y[model.source_index[u]]) in classes


def test_fit_head_and_mixup(data, batch):
    model = build(mixup=0.5)
    model.train()
    assert all(value.isfinite() for value in model.loss(batch, ALL).values())
    numbers = model.fit_head(data.loader("train"), l1=1e-3, l2=1e-3)
    assert numbers["kkt residual"] < 1e-5


def test_wrong_arguments():
    with pytest.raises(ValueError, match="slots is 12, pool 12"):
        build(slots=12)
    with pytest.raises(ValueError, match="pool is 0"):
        build(pool=0)
