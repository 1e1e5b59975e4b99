"""Concept vectors, projections onto named concepts, sparse heads and the residual."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from zoo import create_model
from zoo.batch import Batch
from zoo.layers.bottlenecks.concept_vectors import calibration, concept_vector
from zoo.layers.bottlenecks.cubed_similarity import cubed_similarity
from zoo.layers.bottlenecks.score_matrix import read_scores, similarity_scores
from zoo.phase import Phase

D, CLASSES = 6, 4
NAMES = ("a", "b", "c")
COLUMNS = {name: {"kind": "binary"} for name in NAMES}


def world(n=300, classes=CLASSES, seed=0):
    """Inputs whose first three numbers carry the concepts; the class is two of the concepts as a number."""
    g = torch.Generator().manual_seed(seed)
    concepts = (torch.rand(n, 3, generator=g) < 0.5).float()
    x = torch.randn(n, D, generator=g) * 0.3
    x[:, :3] += 2 * concepts - 1
    y = (2 * concepts[:, 0] + concepts[:, 1]).long() if classes == 4 else concepts[:, 0].long()
    return Batch(x, y, torch.arange(n), concepts=concepts)


class Identity(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x * self.scale


def build(name, classes=CLASSES, **args):
    torch.manual_seed(0)
    own = {"concepts": {"columns": COLUMNS}} if name == "posthoc_cbm" else {"concept_names": list(NAMES)}
    model = create_model(name, num_classes=classes, backbone=Identity(), input_shape=[D], **own | args)
    return model.eval()


def fitted(name, classes=CLASSES, nonzeros=2.0, **args):
    model = build(name, classes, **args)
    batch = world(classes=classes)
    if name == "posthoc_cbm":
        model.fit_concepts([batch], samples=50)
    else:
        model.project([batch], steps=500, lr=0.01)
    model.fit_head([batch], nonzeros=nonzeros)
    return model.eval(), batch


def test_a_concept_vector_is_the_unit_normal_of_the_boundary():
    batch = world()
    h, labels = batch.x.double().numpy(), batch.concepts[:, 0].numpy() > 0.5
    rng = np.random.default_rng(0)
    vector, offset, accuracy = concept_vector(h, labels, samples=0, penalties=[0.1], holdout=0.2, rng=rng)
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert vector[0] > 0.95
    assert accuracy > 0.97
    assert ((h @ vector + offset > 0) == labels).mean() > 0.97
    for kind in (np.zeros(300, bool), np.ones(300, bool)):
        nothing, offset, accuracy = concept_vector(h, kind, samples=0, penalties=[0.1], holdout=0.2, rng=rng)
        assert not nothing.any()
        assert (offset, accuracy) == (0.0, 0.5)
    slope, shift = calibration(np.zeros(10), np.arange(10) < 3)
    assert slope == 0
    assert 1 / (1 + np.exp(-shift)) == pytest.approx(4 / 12)


@torch.no_grad()
def test_posthoc_strengths_and_their_ends():
    model, batch = fitted("posthoc_cbm")
    strength = model.explain(batch.x).strength
    weight, bias = model.concepts.weight, model.concepts.bias
    torch.testing.assert_close(weight.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(strength, batch.x @ weight.T + bias)
    for j in range(3):
        true = batch.concepts[:, j] == 1
        expected = [np.median(strength[rows, j].numpy()) for rows in (~true, true)]
        ends = model.encode_concepts(torch.tensor([[0.0] * 3, [1.0] * 3]))[:, j]
        torch.testing.assert_close(ends, torch.tensor(np.array(expected)).float(), rtol=0, atol=1e-5)
    probability = model.decode_concepts(strength)
    assert ((probability > 0.5) == (batch.concepts == 1)).float().mean() > 0.97
    assert model.encode_concepts(torch.full((1, 3), torch.nan)).isnan().all()


@torch.no_grad()
@pytest.mark.parametrize("name", ["posthoc_cbm", "labelfree_cbm"])
def test_a_few_weights_suffice_and_an_average_unit_adds_nothing(name):
    model, batch = fitted(name)
    assert (model(batch.x).argmax(1) == batch.y).float().mean() > 0.95
    nonzeros = (model.head.linear.weight != 0).sum(1).float().mean()
    assert 0 < nonzeros <= 2
    explanation = model.explain(batch.x, target=batch.y)
    by_hand = model.head.linear.weight[batch.y] * (explanation.strength - model.head.mean) / model.head.std
    torch.testing.assert_close(explanation.contribution, by_hand)
    average = model.intervene(batch.x[:1], model.head.mean[None], torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(average[0], model.head.linear.bias, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_of_a_binary_task_both_logits_depend_on_the_concepts_beside_a_residual():
    """A head of one row beside a residual of two adds the same to both logits and changes no probability."""
    model, batch = fitted("posthoc_cbm", classes=2, residual=True)
    before = model(batch.x).softmax(1)
    moved = model.intervene(batch.x, {0: float(model.low[0]) - 1.0})
    assert (moved - model(batch.x)).abs().amin(0).min() >= 0
    assert (moved.softmax(1) - before).abs().max() > 0.3
    columns = (moved - model(batch.x)).abs().max(0).values
    assert columns.min() > 0.1
    assert model.head.linear.weight.shape == (2, 3)


def test_the_residual_is_trained_alone_and_its_share_is_told_apart():
    model, batch = fitted("posthoc_cbm", residual=True)
    assert "extra_metrics" in model.capabilities
    assert "extra_metrics" not in build("posthoc_cbm").capabilities
    assert model.extra_metrics([batch])["residual share of variance"] == 0
    model.configure_phase(Phase(epochs=1, lr={"residual": 0.1}))
    assert [n for n, p in model.named_parameters() if p.requires_grad] == ["residual.weight", "residual.bias"]
    terms = model.loss(batch, {"residual": 1e-3})
    torch.testing.assert_close(terms["task"], F.cross_entropy(model(batch.x), batch.y))
    with torch.no_grad():
        model.residual.weight.copy_(torch.randn(CLASSES, D, generator=torch.Generator().manual_seed(0)))
        rest = batch.x @ model.residual.weight.T + model.residual.bias
        total = model(batch.x)
        concepts = total - rest
        metrics = model.extra_metrics([batch])
        share = float(rest.var(0, correction=0).sum() / total.var(0, correction=0).sum())
        assert metrics["residual share of variance"] == pytest.approx(share, rel=1e-4)
        assert metrics["accuracy without residual"] == float((concepts.argmax(1) == batch.y).float().mean())
        explanation = model.explain(batch.x, target=batch.y)
        base = (model.head.linear.bias + rest).gather(1, batch.y[:, None])[:, 0]
        torch.testing.assert_close(explanation.base, base, rtol=1e-4, atol=1e-4)
    assert float(model.loss(batch, {"residual": 1.0})["residual"].detach()) == pytest.approx(
        float(model.residual.weight.square().mean())
    )


def test_cubed_similarity_by_hand():
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(50, 2, generator=g), torch.randn(50, 2, generator=g)
    for j in range(2):
        p, q = ((v[:, j] - v[:, j].mean()) ** 3 for v in (a, b))
        expected = float((p @ q) / (p.norm() * q.norm()))
        assert float(cubed_similarity(a, b)[j]) == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(cubed_similarity(a, -2 * a), -torch.ones(2))


@torch.no_grad()
def test_projection_follows_its_scores_and_drops_what_it_cannot_follow():
    batch = world()
    scores = torch.cat([batch.concepts[:, :2], torch.randn(300, 1, generator=torch.Generator().manual_seed(1))], 1)
    model = build("labelfree_cbm")
    measured = model.project([batch], scores=scores, steps=500, lr=0.01)
    assert model.kept.tolist() == [1, 1, 0]
    assert measured["concepts kept"] == 2
    strength = model.explain(batch.x).strength
    assert not strength[:, 2].any()
    for j in range(2):
        assert np.corrcoef(strength[:, j].numpy(), scores[:, j].numpy())[0, 1] > 0.9
    with pytest.raises(ValueError, match="no concept is kept: the largest held-out similarity"):
        model.project([batch], scores="random")
    model.project([batch], scores="random", least=-1)
    assert model.kept.all()
    with pytest.raises(ValueError, match=r"scores are \(300, 2\); expected \(300, 3\)"):
        model.project([batch], scores=scores[:, :2])


def test_scores_from_encoders_and_from_a_file(tmp_path):
    batch = world(5)
    texts = torch.eye(3)
    result = similarity_scores(
        [Batch(batch.x.flip(0), batch.y.flip(0), batch.index.flip(0))],  # any order of the samples
        NAMES,
        image_encoder=lambda x: x[:, :3],
        text_encoder=lambda names: texts[: len(names)],
    )
    torch.testing.assert_close(result, F.normalize(batch.x[:, :3], dim=1))
    with pytest.raises(ValueError, match="images have 6 numbers and texts 3"):
        similarity_scores([batch], NAMES, image_encoder=lambda x: x, text_encoder=lambda names: texts)
    file = tmp_path / "scores.csv"
    file.write_text("b,id,a,c\n1,x,2,3\n4,y,5,6\n")
    assert read_scores(file, NAMES, 2).tolist() == [[2, 1, 3], [5, 4, 6]]
    for text, words in (
        ("a,b\n1,2\n", "has no column 'c'"),
        ("a,b,c\n1,2,3\n", "has 1 rows; expected one for each of the 2"),
        ("a,b,c\n1,2,3\n1,x,3\n", "line 3, column 'b': 'x' is not a number"),
        ("a,b,c\n1,2,3\n1,inf,3\n", "line 3, column 'b': expected a finite number"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=words):
            read_scores(file, NAMES, 2)
    with pytest.raises(ValueError, match="expected a CSV file"):
        read_scores(tmp_path / "gone.csv", NAMES, 2)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="expected distinct names"):
        build("labelfree_cbm", concept_names=["a", "a"])
    with pytest.raises(ValueError, match="expected distinct names"):
        build("labelfree_cbm", concept_names=[])
    with pytest.raises(ValueError, match="concept 'size' is continuous"):
        build("posthoc_cbm", concepts={"columns": {"size": {"kind": "continuous"}}})
    model, batch = fitted("posthoc_cbm")
    with pytest.raises(ValueError, match="expected exactly one of them"):
        model.fit_head([batch])
    with pytest.raises(ValueError, match="the data have none concepts"):
        model.fit_concepts([Batch(batch.x, batch.y, batch.index)])
