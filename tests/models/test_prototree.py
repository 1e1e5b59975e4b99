import pytest
import torch

from zoo import create_data, create_model
from zoo.batch import Batch
from zoo.models.prototree import FLOOR
from zoo.phase import Phase


def build(**args):
    torch.manual_seed(0)
    small = {"num_classes": 4, "backbone": "resnet10t", "backbone_level": 1, "height": 3, "dim": 8}
    model = create_model("prototree", **small | args)
    with torch.no_grad():
        model.leaves.copy_(2 * torch.rand(model.leaves.shape))
    return model


def images(n=6):
    return torch.randn(n, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def answer(model, p, v=0):
    """Class distribution below node ``v`` of one image by recursion, ``p`` by node."""
    n = len(model.forced)
    if v >= n:
        return (1 - FLOOR) * model.leaves[v - n].softmax(0) + FLOOR / model.num_classes
    return (1 - p[v]) * answer(model, p, 2 * v + 1) + p[v] * answer(model, p, 2 * v + 2)


@torch.no_grad()
def test_against_a_recursion():
    model, x = build().eval(), images()
    z = model.feature_map(x)
    for i in range(len(x)):
        distance = (z[i].flatten(1)[None] - model.prototypes.flatten(1)[..., None]).square().sum(1).sqrt().amin(1)
        expected = answer(model, (-distance).exp().tolist())
        torch.testing.assert_close(model(x)[i].exp(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model(x).exp().sum(1), torch.ones(len(x)))


@torch.no_grad()
def test_greedy_routing_is_one_path():
    model, x = build(routing="greedy").eval(), images()
    for i, row in enumerate(model.scores(x).tolist()):
        v = 0
        while v < 7:
            v = 2 * v + 2 if row[v] > 0.5 else 2 * v + 1
        expected = (1 - FLOOR) * model.leaves[v - 7].softmax(0) + FLOOR / 4
        torch.testing.assert_close(model(x)[i].exp(), expected)


@torch.no_grad()
def test_contributions_are_changes_of_probability():
    """A node adds its reach times (p - 1/2) times the difference of the undecided means, over the logarithmic mean."""
    model, x = build().eval(), images()
    e = model.explain(x, target=torch.arange(6) % 4)
    even = [0.5] * 7
    for i in range(6):
        p, c = e.strength[i].tolist(), i % 4
        before, after = float(answer(model, even)[c]), float(e.logits[i, c].exp())
        mean = (after - before) / (torch.tensor(after).log() - torch.tensor(before).log())
        for v in range(7):
            reached, u = 1.0, v
            while u:
                parent = (u - 1) // 2
                reached *= p[parent] if u == 2 * parent + 2 else 1 - p[parent]
                u = parent
            change = answer(model, even, 2 * v + 2)[c] - answer(model, even, 2 * v + 1)[c]
            expected = reached * (p[v] - 0.5) * change / mean
            assert float(e.contribution[i, v]) == pytest.approx(float(expected), rel=1e-3, abs=1e-5)


@torch.no_grad()
def test_update_of_the_leaves_against_loops():
    model = build().train()
    x, y = images(), torch.tensor([0, 1, 2, 3, 0, 1])
    model.configure_phase(Phase(epochs=1, lr={"leaves": 1.0, "addon": 1e-3}))
    model.train()
    model.leaves_before.copy_(model.leaves)
    before = model.leaves.clone()
    model.loss(Batch(x, y, torch.arange(6)), {})
    model._trainer = type("T", (), {"num_training_batches": 5})()
    model.__class__ = type("Attached", (type(model),), {"trainer": property(lambda self: self._trainer)})
    strength = model.scores(x)  # in training mode, as in the loss
    model.after_step()
    model.__class__ = type(model).__mro__[1]
    model._trainer = None
    leaf = (1 - FLOOR) * before.softmax(1) + FLOOR / 4
    expected = (before - before / 5).clamp_min(0)
    for i in range(6):
        for number in range(8):
            reached, u = 1.0, 7 + number
            while u:
                parent = (u - 1) // 2
                right = float(strength[i, parent])
                reached *= right if u == 2 * parent + 2 else 1 - right
                u = parent
            total = float(answer(model_with(model, before), strength[i].tolist())[y[i]])
            expected[number, y[i]] += reached * float(leaf[number, y[i]]) / total
    torch.testing.assert_close(model.leaves, expected, rtol=1e-3, atol=1e-4)
    assert not model.leaves.requires_grad


def model_with(model, leaves):
    """What ``answer`` reads of a model, with other leaves."""
    return type("Tree", (), {"forced": model.forced, "leaves": leaves, "num_classes": 4})()


@torch.no_grad()
def test_pruning_keeps_answers_of_what_is_left(tmp_path):
    model, x = build().eval(), images()
    model.leaves.zero_()
    model.leaves[[1, 4]] = torch.tensor([[5.0, 0, 0, 0], [0, 5.0, 0, 0]])  # leaf 0 to 3 left of the root
    p = model.scores(x)
    assert model.prune(None, threshold=0.3) == {"pruned": 6, "left": 1}
    assert model.units.names == ["node 0"]
    first, second = ((1 - FLOOR) * model.leaves[i].softmax(0) + FLOOR / 4 for i in (1, 4))
    expected = (1 - p[:, :1]) * first + p[:, :1] * second
    torch.testing.assert_close(model(x).exp(), expected)
    other = build().eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(x), model(x))
    assert other.units.names == ["node 0"]


def test_projection_is_restricted_to_the_classes_below():
    data = create_data("digits", size=16, batch_size=16, limit=60)
    data.setup()
    model = build(num_classes=10, height=4).eval()
    model.project(data.loader("train"))
    everything = next(iter(data.loader("train", batch_size=1000)))
    allowed = model.candidate_classes()
    for u in range(15):
        i = int(model.source_index[u])
        assert bool(allowed[u, everything.y[i]])
        row, col = int(model.source_row[u]), int(model.source_col[u])
        with torch.no_grad():
            patch = model.feature_map(everything.x[i : i + 1])[0, :, row, col]
        torch.testing.assert_close(model.prototypes[u, :, 0, 0], patch, rtol=1e-4, atol=1e-5)
    index = model.source_index.clone()
    model.project(data.loader("train", batch_size=7))
    assert torch.equal(model.source_index, index)


def test_extra_metrics_of_a_tree_that_is_sure():
    """With similarities of 0 and 1 all routings agree."""
    data = create_data("digits", size=16, batch_size=16, limit=40)
    data.setup()
    model = build(num_classes=10)
    model.score_matrix = lambda loader: ((torch.rand(40, 7) > 0.5).float(), torch.arange(40) % 10)
    numbers = model.extra_metrics(data.loader("test"))
    assert numbers["nodes"] == 7
    assert numbers["agreement of greedy with soft"] == numbers["agreement of most probable leaf with soft"] == 1


def test_wrong_arguments():
    with pytest.raises(ValueError, match="height is 0"):
        build(height=0)
    with pytest.raises(ValueError, match="routing|hard"):
        build(routing="hard")


@torch.no_grad()
def test_decision_paths_are_those_of_greedy_routing():
    model, greedy, x = build().eval(), build(routing="greedy").eval(), images()
    model.forced[4] = 1  # pruned: node 4 always goes right
    greedy.forced[4] = 1
    for each in (model, greedy):
        each.keep(torch.arange(7) != 4)
    strength = model.scores(x)
    paths = model.decision_paths(x)
    for i, path in enumerate(paths):
        torch.testing.assert_close(torch.tensor(path.probabilities), greedy(x)[i].exp())
        assert [step.strength for step in path.steps] == pytest.approx([float(strength[i, s.unit]) for s in path.steps])
        assert all(step.right == (step.strength > 0.5) for step in path.steps)
        assert path.steps[0].name == "node 0"
        assert "node 4" not in [step.name for step in path.steps]
        weight = 1.0
        for step in path.steps:
            weight *= step.strength if step.right else 1 - step.strength
        assert path.weight == pytest.approx(weight, rel=1e-5)
    assert "decision_paths" in model.capabilities
