"""Probabilistic concept embeddings against formulas and loops over samples, concepts and draws."""

import math

import pytest
import torch

from zoo import create_model
from zoo.batch import Batch
from zoo.layers.bottlenecks.probabilistic_embeddings import ProbabilisticEmbeddings, _Head, interpolation

KINDS = {"a": "binary", "w: x": "categorical", "b": "binary", "w: y": "categorical", "w: z": "categorical"}
COLUMNS = {k: {"kind": v, "group": k.split(":")[0]} for k, v in KINDS.items()}
M, CLASSES, WIDTH, DRAWS, WING = 5, 3, 4, 7, [1, 3, 4]


def build(seed=0, **args):
    torch.manual_seed(seed)
    small = {"num_classes": CLASSES, "backbone": "mlp", "backbone_args": {"hidden": [8]}, "input_shape": [6]}
    small |= {"concepts": {"columns": COLUMNS}, "width": WIDTH, "samples": DRAWS}
    return create_model("probcbm", **small | args).eval()


def world(n=6, *, unknown=0.0, seed=0):
    g = torch.Generator().manual_seed(seed)
    truth = (torch.rand(n, M, generator=g) < 0.4).float()
    truth[:, WING] = torch.eye(3)[torch.randint(3, (n,), generator=g)]
    for columns in ([0], [2], WING):
        gone = torch.rand(n, generator=g) < unknown
        truth[:, columns] = truth[:, columns].masked_fill(gone[:, None], torch.nan)
    return Batch(torch.randn(n, 6, generator=g), torch.arange(n) % CLASSES, torch.arange(n), concepts=truth)


def anchors(model):
    return [[a / a.norm() for a in side] for side in model.embeddings.anchors]


def concept_logit(model, j, z):
    false, true = anchors(model)
    return float(model.embeddings.scale) * float((z - false[j]).norm() - (z - true[j]).norm())


def probabilities(model, logits):
    """Of one input, from its m logits, a list."""
    wing = sum(math.exp(logits[i]) for i in WING)
    return [math.exp(logits[i]) / wing if i in WING else 1 / (1 + math.exp(-logits[i])) for i in range(M)]


@torch.no_grad()
@pytest.mark.parametrize("normalized", [True, False])
def test_a_head_is_that_of_the_paper_place_by_place(normalized):
    torch.manual_seed(0)
    head = _Head(2, 4, normalized=normalized)
    for parameter in head.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    maps = torch.randn(3, 2, 4, 5)
    result = head(maps)
    for n in range(3):
        for j in range(2):
            places = [maps[n, j, :, p] for p in range(5)]
            scores = [float((place @ head.query[j]).tanh() @ head.score[j]) for place in places]
            total = sum(math.exp(s) for s in scores)
            attended = sum(math.exp(s) / total * place for s, place in zip(scores, places, strict=True))
            out = (sum(places) / 5) @ head.average[j] + head.bias[0, j]
            rest = attended @ head.attended[j] + head.bias[1, j]
            expected = out + rest
            if normalized:
                v = out + 1 / (1 + (-rest).exp())
                v = (v - v.mean()) / (v.var(correction=0) + 1e-5).sqrt() * head.gain[j] + head.shift[j]
                expected = v / v.norm()
            torch.testing.assert_close(result[n, j], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_probabilities_answer_and_explanation_by_hand():
    model, batch = build(), world()
    mean, log_variance = model.encode(batch.x)
    result = model.explain(batch.x, target=batch.y)
    for n in range(len(batch.x)):
        total = [0.0] * M
        for s in range(DRAWS):
            sigma = (log_variance[n] / 2).exp()
            z = [mean[n, j] + sigma[j] * model.embeddings.noise[s] for j in range(M)]
            p = probabilities(model, [concept_logit(model, j, z[j]) for j in range(M)])
            total = [t + v / DRAWS for t, v in zip(total, p, strict=True)]
        torch.testing.assert_close(result.strength[n], torch.tensor(total), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(result.logits[n], model.head(mean[n].flatten()))
        for j in range(M):
            block = model.head.weight[batch.y[n], j * WIDTH : (j + 1) * WIDTH]
            assert float(result.contribution[n, j]) == pytest.approx(float(block @ mean[n, j]), abs=1e-5)
    assert result.method == "exact"
    expected = [[math.exp(sum(row) / WIDTH) for row in one] for one in log_variance.tolist()]
    torch.testing.assert_close(model.concept_uncertainty(batch.x), torch.tensor(expected))


@torch.no_grad()
def test_a_set_concept_has_its_anchor_and_an_agreement_changes_nothing():
    model, batch = build(), world(4)
    state, (false, true) = model.encode(batch.x), anchors(model)
    p = model.strengths(state)
    g = torch.Generator().manual_seed(1)
    mask = torch.rand(3, 4, M, generator=g) < 0.5
    value = torch.tensor([0.0, 1.0])[torch.randint(2, (3, 4, M), generator=g)]
    value[2] = torch.rand(4, M, generator=g)
    result = model.decide(state, mask, value)
    for lead in range(3):
        for n in range(4):
            z = state[0][n].clone()
            for j in mask[lead, n].nonzero()[:, 0].tolist():
                v, q = float(value[lead, n, j]), float(p[n, j])
                share = (v - q) / (1 - q) if v > q else (q - v) / q
                z[j] = z[j] + share * ((true if v > q else false)[j] - z[j])
            torch.testing.assert_close(result[lead, n], model.head(z.flatten()), rtol=1e-4, atol=1e-5)
    same = model.decide(state, torch.ones(4, M, dtype=torch.bool), p)
    torch.testing.assert_close(same, model.decide(state))
    # probabilities of 0 and 1 in single precision: no division by 0, and an agreement still changes nothing
    edge = torch.tensor([[0.0, 1.0]])
    assert [w.tolist() for w in interpolation(edge, edge)] == [[[0.0, 0.0]], [[0.0, 0.0]]]
    assert [w.tolist() for w in interpolation(edge, 1 - edge)] == [[[0.0, 1.0]], [[1.0, 0.0]]]


@torch.no_grad()
def test_losses_against_loops_over_draws():
    model, batch = build(), world(4, unknown=0.3)
    torch.manual_seed(5)
    terms = model.loss(batch, {"task": 1.0, "concept": 1.0, "kl": 1.0})
    torch.manual_seed(5)
    noise = torch.randn(DRAWS, 4, M, WIDTH)
    mean, log_variance = model.encode(batch.x)
    z = mean + log_variance.exp().sqrt() * noise
    task, concept, kl, known = 0.0, 0.0, 0.0, 0
    for n in range(4):
        p = torch.stack([model.head(z[s, n].flatten()).softmax(0) for s in range(DRAWS)]).mean(0)
        task -= float(p[batch.y[n]].log()) / 4
        draws = [probabilities(model, [concept_logit(model, j, z[s, n, j]) for j in range(M)]) for s in range(DRAWS)]
        mean_p = [sum(row[j] for row in draws) / DRAWS for j in range(M)]
        c = batch.concepts[n].tolist()
        for j in (0, 2):
            if not math.isnan(c[j]):
                concept -= math.log(mean_p[j] if c[j] else 1 - mean_p[j])
                known += 1
        if not math.isnan(c[1]):
            concept -= math.log(mean_p[[j for j in WING if c[j]][0]])
            known += 1
        for j in range(M):
            for d in range(WIDTH):
                v, m = float(log_variance[n, j, d].exp()), float(mean[n, j, d])
                kl += 0.5 * (v + m * m - 1 - math.log(v)) / (4 * M)
    assert float(terms["task"]) == pytest.approx(task, rel=1e-4)
    assert float(terms["concept"]) == pytest.approx(concept / known, rel=1e-4)
    assert float(terms["kl"]) == pytest.approx(kl, rel=1e-4)


def test_the_class_does_not_train_the_concepts_and_reads_true_anchors():
    model, batch = build(randint=1.0).train(), world(8, unknown=0.3)
    model.loss(batch, {"task": 1.0})["task"].backward()
    assert all(p.grad is None for p in [*model.embeddings.parameters(), *model.backbone.parameters()])
    assert model.head.weight.grad.abs().sum() > 0
    drawn = torch.zeros(2, 8, M, WIDTH)
    used = model._head_input(drawn, batch.concepts)
    false, true = anchors(model)
    for n in range(8):
        for j in range(M):
            c = float(batch.concepts[n, j])
            expected = torch.zeros(WIDTH) if math.isnan(c) else (true if c else false)[j]
            torch.testing.assert_close(used[1, n, j], expected.detach())


@torch.no_grad()
def test_a_wide_embedding_has_a_doubtful_concept_and_is_corrected_first():
    from zoo.concept_schema import ConceptSchema
    from zoo.metrics.concepts.interventions import Interventions

    layer = ProbabilisticEmbeddings(3, 1, 16, samples=400)
    near_true = layer.ends()[1][None]
    narrow, wide = (
        float(layer.logits(layer.draws(near_true, torch.full((1, 1, 16), v))).sigmoid().mean()) for v in (-8.0, 2.0)
    )
    assert narrow > 0.99
    assert 0.5 < wide < narrow
    schema = ConceptSchema.from_config({"columns": {n: {"kind": "binary"} for n in "ab"}})
    args = {"policies": ["variance"], "seeds": 1}
    predicted, truth = torch.tensor([[0.5, 0.9]]), torch.tensor([[1.0, 0.0]])
    ends = torch.zeros(1, 2), torch.ones(1, 2)

    def decide(mask, value):  # class 1 once the second concept is set to 0
        second = torch.where(mask, value, predicted)[..., 1:]
        return torch.cat([second, 1 - second], -1)

    curves = []
    for uncertainty in (None, torch.tensor([[0.1, 0.2]])):
        score = Interventions(schema, **args)
        score.update(
            predicted,
            predicted,
            truth,
            torch.tensor([1]),
            torch.tensor([0]),
            *ends,
            decide=decide,
            uncertainty=uncertainty,
        )
        curves.append(score.compute()["curve/variance"].tolist())
    assert curves == [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]


def test_wrong_arguments():
    with pytest.raises(ValueError, match="samples 0"):
        build(samples=0)
    with pytest.raises(ValueError, match="concept 'size' is continuous"):
        build(concepts={"columns": COLUMNS | {"size": {"kind": "continuous"}}})
