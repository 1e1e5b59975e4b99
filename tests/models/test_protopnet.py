import json

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from zoo import create_model
from zoo.batch import Batch, content_hash
from zoo.layers.prototypes.provenance import SOURCES
from zoo.layers.prototypes.similarity import distances
from zoo.models.protopnet import ProtoPNet

ALL = {"cluster": 0.8, "separation": -0.08, "l1": 1e-4, "orthogonality": 0.1}


def build(**args):
    torch.manual_seed(0)
    small = {"num_classes": 10, "backbone": "resnet10t", "backbone_level": 1, "per_class": 2, "dim": 8}
    return create_model("protopnet", **small | args)


@pytest.mark.parametrize("similarity", ["log_l2", "cosine", "l2", "exp_l2"])
def test_loss_against_loops(batch, similarity):
    model = build(similarity=similarity)
    with torch.no_grad():
        terms = model.loss(batch, ALL)
        assert tuple(terms) == model.terms
        d = distances(model.addon(model.backbone(batch.x)), model.prototypes, similarity)
    cluster, separation = [], []
    for n in range(len(batch)):
        best = {True: 9e9, False: 9e9}
        for u in range(len(model.units)):
            own = int(model.owner[u]) == int(batch.y[n])
            best[own] = min(best[own], *d[n, u].flatten().tolist())
        cluster.append(best[True])
        separation.append(best[False])
    weight, l1 = model.head.weight.tolist(), 0.0
    for c, row in enumerate(weight):
        l1 += sum(abs(w) for u, w in enumerate(row) if int(model.owner[u]) != c)
    squares = []
    for a in range(len(model.units)):
        for b in range(len(model.units)):
            if a != b and model.owner[a] == model.owner[b]:
                squares.append(
                    float(F.cosine_similarity(*(model.prototypes[i].detach().flatten() for i in (a, b)), dim=0)) ** 2
                )
    expected = {"cluster": cluster, "separation": separation, "l1": [l1], "orthogonality": squares}
    for name, values in expected.items():
        assert float(terms[name]) == pytest.approx(sum(values) / len(values), rel=1e-4), name
    with torch.no_grad():
        assert float(terms["task"]) == pytest.approx(float(F.cross_entropy(model(batch.x), batch.y)), rel=1e-6)


def test_terms_without_weight_are_left_out(batch):
    assert tuple(build().loss(batch, {})) == ("task",)
    assert tuple(build().loss(batch, {"l1": 1.0, "cluster": 0.0})) == ("task", "l1")


def test_one_prototype_per_class_has_no_pairs(batch):
    assert float(build(per_class=1).loss(batch, ALL)["orthogonality"]) == 0


def test_initial_head():
    model = build(own_weight=2.0, other_weight=-0.25)
    for c in range(10):
        for u in range(20):
            assert float(model.head.weight[c, u]) == (2.0 if u // 2 == c else -0.25)


@pytest.mark.parametrize(("similarity", "size"), [("log_l2", 1), ("cosine", 1), ("l2", 2)])
def test_projection_is_a_training_patch(data, similarity, size):
    model = build(similarity=similarity, prototype_size=size)
    numbers = model.project(data.loader("train"))
    assert numbers["mean distance"] >= 0
    everything = next(iter(data.loader("train", batch_size=1000)))
    with torch.no_grad():
        z = model.addon(model.backbone(everything.x))
        maps = model.maps(everything.x)
    for u in range(20):
        i, row, col = (int(getattr(model, f"source_{k}")[u]) for k in ("index", "row", "col"))
        assert int(everything.index[i]) == i
        assert int(everything.y[i]) == int(model.owner[u])
        assert int(model.source_hash[u]) == int(content_hash(everything.x[i : i + 1]))
        patch = z[i, :, row : row + size, col : col + size]
        torch.testing.assert_close(model.prototypes[u], patch, rtol=1e-5, atol=1e-6)
        at = float(maps[i, u, row, col])
        assert at >= float(maps[everything.y == model.owner[u], u].max()) - 1e-4  # no training patch is more similar
        # From one image alone, as a reader would check it.
        alone = model.addon(model.backbone(everything.x[i : i + 1]))[0, :, row : row + size, col : col + size]
        torch.testing.assert_close(model.prototypes[u], alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_projecting_twice_changes_nothing(data):
    model = build()
    model.project(data.loader("train"))
    state = {k: v.clone() for k, v in model.state_dict().items()}
    again = model.project(data.loader("train", batch_size=60))
    assert torch.equal(model.source_index, state["source_index"])
    torch.testing.assert_close(model.prototypes, state["prototypes"], rtol=1e-5, atol=1e-6)
    assert again["mean distance"] == pytest.approx(0, abs=1e-9)


def test_provenance_is_saved(data, tmp_path):
    model = build()
    model.project(data.loader("train"))
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, tmp_path / "m.safetensors")
    other = build()
    other.load_state_dict(load_file(tmp_path / "m.safetensors"))
    for name in ("owner", *SOURCES):
        assert torch.equal(getattr(other, name), getattr(model, name))
        assert getattr(other, name).dtype == getattr(model, name).dtype
    assert torch.equal(other.sources().index, model.source_index)
    assert (other.sources().index >= 0).all()


def test_a_class_without_samples(data):
    model = build(num_classes=11)
    with pytest.raises(ValueError, match=r"expected samples of class \[10\]"):
        model.project(data.loader("train"))


def scored(monkeypatch, scores, y):
    monkeypatch.setattr(ProtoPNet, "score_matrix", lambda self, loader: (scores, y))


def test_prune_by_hand(monkeypatch):
    """Four prototypes of two classes, five images, k = 2: prototype 1 has one own neighbour, prototype 2 none."""
    model = build(num_classes=2, per_class=2)
    y = torch.tensor([0, 0, 1, 1, 1])
    scores = torch.tensor(
        [
            [9.0, 9.0, 8.0, 0.0],
            [8.0, 1.0, 9.0, 0.0],
            [1.0, 8.0, 1.0, 0.0],
            [0.0, 0.0, 0.0, 7.0],
            [0.0, 0.0, 0.0, 6.0],
        ]
    )
    with torch.no_grad():
        model.head.weight.copy_(torch.arange(8.0).view(2, 4))
        model.source_index.copy_(torch.arange(4))
    prototypes = model.prototypes.clone()
    scored(monkeypatch, scores, y)
    assert model.prune(None, k=2, least=1) == {"pruned": 1, "left": 3}
    assert model.owner.tolist() == [0, 0, 1]
    assert model.head.weight.tolist() == [[0, 1, 3], [4, 5, 7]]
    assert model.source_index.tolist() == [0, 1, 3]
    assert torch.equal(model.prototypes, prototypes[[0, 1, 3]])
    assert model.units.names == ["class 0 #0", "class 0 #1", "class 1 #0"]
    assert model(torch.randn(2, 3, 16, 16)).shape == (2, 2)
    assert {p.shape[0] for p in model.trainable_parts()["head"].parameters()} == {2}


def test_pruning_all_of_a_class_warns(monkeypatch):
    model = build(num_classes=2, per_class=1)
    scored(monkeypatch, torch.tensor([[1.0, 1.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    with pytest.warns(UserWarning, match=r"no prototype for class \[1\]"):
        model.prune(None, k=1, least=1)
    assert model.units.owner.tolist() == [0]
    batch = Batch(torch.randn(2, 3, 16, 16), torch.tensor([0, 1]), torch.arange(2))
    terms = model.loss(batch, ALL)  # the class with no prototype, and no other class, have no nearest
    assert all(v.isfinite() for v in terms.values())
    e = model.explain(batch.x, target=batch.y)
    torch.testing.assert_close(e.contribution.sum(1), e.logits.gather(1, batch.y[:, None])[:, 0])


@pytest.mark.slow
def test_pruned_model_is_reloaded_in_a_fresh_process(finished, processes, tmp_path):
    import zoo

    model = zoo.load(str(finished))
    metrics = json.loads((finished / "checkpoint" / "metrics.json").read_text())
    assert len(model.units) < 20, "pruning must take something, or this test shows nothing"
    assert metrics["scores"]["accuracy"]["support"] == 60
    x = torch.randn(4, 3, 16, 16)
    torch.save(x, tmp_path / "x")
    with torch.no_grad():
        torch.save(model(x), tmp_path / "y")
    assert processes.run("reload", finished / "checkpoint", tmp_path / "x", tmp_path / "y") == 0


def test_fit_head(data):
    model = build()
    model.project(data.loader("train"))
    numbers = model.fit_head(data.loader("train"), l1=1e-3, l2=1e-3)
    assert numbers["kkt residual"] < 1e-5
    scores, y = model.score_matrix(data.loader("train"))
    before = F.cross_entropy(scores @ build().head.weight.T, y)
    assert F.cross_entropy(scores @ model.head.weight.T, y) < before
    off = torch.arange(10)[:, None] != model.owner
    assert numbers["off-class weights"] == int((model.head.weight[off] != 0).sum())


def test_score_matrix_is_in_order(data):
    model = build().eval()
    scores, y = model.score_matrix(data.loader("train", shuffle=True, batch_size=7))
    expected = next(iter(data.loader("train", batch_size=1000)))
    assert torch.equal(y, expected.y)
    with torch.no_grad():
        torch.testing.assert_close(scores, model.maps(expected.x).amax((2, 3)), rtol=1e-4, atol=1e-5)


def test_a_state_that_does_not_fit():
    model, other = build(), build(per_class=3)
    state = other.state_dict()
    del state["source_row"]
    with pytest.raises(RuntimeError, match="source_row"):
        model.load_state_dict(state)
    with pytest.raises(RuntimeError, match="addon.0.weight"):
        build().load_state_dict(build(dim=4).state_dict())


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"num_classes": 0}, "num_classes is 0; expected at least 1"),
        ({"per_class": 0}, "per_class is 0"),
        ({"prototype_size": 0}, "prototype_size is 0"),
        ({"similarity": "dot"}, "similarity|dot"),
        ({"per_clas": 1}, "per_clas"),
        ({"addon": "none"}, "dim is 8; expected the backbone.s width 64"),
    ],
)
def test_wrong_arguments(args, words):
    with pytest.raises(ValueError, match=words):
        build(**args)


def test_create_model_names_what_is_missing():
    with pytest.raises(ValueError, match="protopnet needs num_classes"):
        create_model("protopnet")
    with pytest.raises(ValueError, match="no model 'protopne', did you mean protopnet"):
        create_model("protopne", num_classes=2)


def test_frozen_parts_stay_in_eval_mode(batch):
    from zoo.phase import Phase

    model = build()
    model.configure_phase(Phase(epochs=1, lr={"addon": 1e-3}))
    model.train()
    assert model.addon.training
    assert not model.backbone.training
    before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    model.loss(batch, {})["task"].backward()
    assert all(torch.equal(v, before[k]) for k, v in model.backbone.state_dict().items())
    assert {n.split(".")[0] for n, p in model.named_parameters() if p.grad is not None} == {"addon"}
    model.configure_phase(Phase())
    model.train()
    assert model.backbone.training
