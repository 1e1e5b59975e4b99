import pytest
import torch
import torch.nn.functional as F

from zoo import create_model
from zoo.phase import Phase

PUBLISHED = {"cluster": 0.8, "separation": -0.08, "sdfa": 0.5, "orthogonality": 1e-4}


def build(**args):
    torch.manual_seed(0)
    small = {"num_classes": 10, "backbone": "resnet10t", "backbone_level": 1, "per_class": 2, "dim": 8}
    return create_model("sdfa_sa", **small | args)


@torch.no_grad()
def test_loss_against_loops(batch):
    model = build().eval()
    terms = model.loss(batch, PUBLISHED)
    assert tuple(terms) == model.terms
    z = model.addon(model.backbone(batch.x))
    cluster, separation, logits = [], [], torch.zeros(len(batch), 10)
    for n in range(len(batch)):
        best = {True: -9.0, False: -9.0}
        for u, p in enumerate(model.prototypes):
            cells = z[n].flatten(1).T
            own = int(model.owner[u]) == int(batch.y[n])
            best[own] = max(best[own], float(F.cosine_similarity(cells, p.flatten()[None]).max()))
            logits[n, model.owner[u]] += (cells @ (p.flatten() / p.norm())).max()  # equal weights of 1
        cluster.append(-best[True])
        separation.append(-best[False])
    assert float(terms["cluster"]) == pytest.approx(sum(cluster) / len(batch), rel=1e-4)
    assert float(terms["separation"]) == pytest.approx(sum(separation) / len(batch), rel=1e-4)
    torch.testing.assert_close(model(batch.x), logits, rtol=1e-4, atol=1e-5)
    assert float(terms["task"]) == pytest.approx(float(F.cross_entropy(logits, batch.y)), rel=1e-4)
    assert float(terms["sdfa"]) > 0


def test_weights_are_a_softmax_within_the_class():
    model = build(per_class=3, own_weight=2.0)
    with torch.no_grad():
        model.attention.copy_(torch.randn(30))
    weights = model.class_weights()
    for c in range(10):
        own = model.attention[3 * c : 3 * c + 3].exp()
        expected = torch.zeros(30)
        expected[3 * c : 3 * c + 3] = 3 * 2.0 * own / own.sum()
        torch.testing.assert_close(weights[c], expected)


def test_prototypes_have_length_1_after_a_step():
    model = build()
    with torch.no_grad():
        model.prototypes.mul_(3.0)
    model.after_step()
    torch.testing.assert_close(model.prototypes.flatten(1).norm(dim=1), torch.ones(20))


def test_alignment_has_a_gradient_and_needs_a_shallow_level(batch):
    model = build()
    model.loss(batch, PUBLISHED)["sdfa"].backward()
    assert float(model.addon[0].weight.grad.abs().sum()) > 0
    model.backbone.entry = "end"
    with pytest.raises(ValueError, match="no shallow feature map: the phase caches"):
        model.loss(batch, PUBLISHED)


@pytest.mark.parametrize("args", [{}, {"similarity": "cosine", "addon": "regular", "average": 3}])
def test_projection_is_the_best_training_patch(data, args):
    model = build(**args)
    model.project(data.loader("train"))
    everything = next(iter(data.loader("train", batch_size=1000)))
    with torch.no_grad():
        z = model.feature_map(everything.x)
    for u in range(20):
        i, row, col = (int(getattr(model, f"source_{k}")[u]) for k in ("index", "row", "col"))
        assert int(everything.y[i]) == int(model.owner[u])
        torch.testing.assert_close(model.prototypes[u, :, 0, 0], z[i, :, row, col], rtol=1e-4, atol=1e-5)
    state = model.state_dict()
    other = build(**args).eval()
    other.load_state_dict(state)
    assert torch.equal(other(everything.x), model(everything.x))


def test_pruning_keeps_the_weights_of_what_is_left():
    model = build(num_classes=2, per_class=3)
    with torch.no_grad():
        model.attention.copy_(torch.arange(6.0))
    model.keep(torch.tensor([True, False, True, True, False, False]))
    assert model.attention.tolist() == [0, 2, 3]
    assert model.owner.tolist() == [0, 0, 1]
    other = build(num_classes=2, per_class=3)
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other.class_weights(), model.class_weights())
    assert float(model.class_weights()[1].sum()) == 1.0
    model.configure_phase(Phase(epochs=1, lr={"attention": 1e-6}))
    assert model.attention.requires_grad


def test_wrong_arguments():
    with pytest.raises(ValueError, match="similarity is 'l2'|Invalid value 'l2'|l2"):
        build(similarity="l2")
    with pytest.raises(ValueError, match="per_class is 0"):
        build(per_class=0)


@torch.no_grad()
def test_averaged_maps_are_means_of_cosines(batch):
    """Maps, strengths and projection with ``average=3``: cosines of single cells, averaged over squares of cells."""
    model = build(similarity="projection", sigmoid=False, addon="regular", average=3).eval()
    single = model.addon[:-1](model.backbone(batch.x))
    cosine = torch.einsum("bdhw,ud->buhw", F.normalize(single, dim=1), F.normalize(model.prototypes.flatten(1), dim=1))
    height, width = cosine.shape[2:]
    expected = torch.zeros_like(cosine)
    for row in range(height):
        for column in range(width):
            cells = [
                cosine[:, :, min(max(row + i, 0), height - 1), min(max(column + j, 0), width - 1)]
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
            ]
            expected[:, :, row, column] = torch.stack(cells).mean(0)
    torch.testing.assert_close(model.maps(batch.x), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.scores(batch.x), expected.amax((2, 3)), rtol=1e-4, atol=1e-5)
    assert float(model.prototypes.min()) < 0  # without a sigmoid, prototypes start in all directions
