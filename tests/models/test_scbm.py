"""Stochastic concept bottlenecks against formulas and loops."""

import math

import pytest
import torch
import torch.nn.functional as F

from zoo import create_model
from zoo.batch import Batch
from zoo.layers.bottlenecks.gaussian_concepts import CholeskyFactor, conditional_mean, damping, posterior_mean

KINDS = {"a": "binary", "w: x": "categorical", "b": "binary", "w: y": "categorical", "w: z": "categorical"}
COLUMNS = {k: {"kind": v, "group": k.split(":")[0]} for k, v in KINDS.items()}
M, CLASSES, WING = 5, 3, [1, 3, 4]


def build(seed=0, **args):
    torch.manual_seed(seed)
    small = {"num_classes": CLASSES, "backbone": "mlp", "backbone_args": {"hidden": [8]}, "input_shape": [6]}
    model = create_model("scbm", **small | {"concepts": {"columns": COLUMNS}, "samples": 30} | args)
    with torch.no_grad():
        for parameter in model.covariance.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return model.eval()


def world(n=20, *, unknown=0.0, seed=0):
    g = torch.Generator().manual_seed(seed)
    truth = (torch.rand(n, M, generator=g) < 0.4).float()
    truth[:, WING] = torch.eye(3)[torch.randint(3, (n,), generator=g)]
    for columns in ([0], [2], WING):
        gone = torch.rand(n, generator=g) < unknown
        truth[:, columns] = truth[:, columns].masked_fill(gone[:, None], torch.nan)
    return Batch(torch.randn(n, 6, generator=g), torch.arange(n) % CLASSES, torch.arange(n), concepts=truth)


def test_conditional_mean_equals_the_formula_for_each_subset():
    g = torch.Generator().manual_seed(0)
    root = torch.randn(4, M, M, generator=g, dtype=torch.float64)
    covariance = root @ root.mT + 0.1 * torch.eye(M)
    mean, value = (torch.randn(4, M, generator=g, dtype=torch.float64) for _ in range(2))
    mask = torch.rand(3, 4, M, generator=g) < 0.5
    mask[0, 0], mask[0, 1] = False, True
    result = conditional_mean(mean, covariance, mask, value.masked_fill(~mask, torch.nan))
    for lead in range(3):
        for i in range(4):
            s, r = mask[lead, i].nonzero()[:, 0], (~mask[lead, i]).nonzero()[:, 0]
            expected = mean[i].clone()
            expected[s] = value[i, s]
            gain = covariance[i][r][:, s] @ torch.linalg.inv(covariance[i][s][:, s])
            expected[r] = mean[i, r] + gain @ (expected[s] - mean[i, s])
            torch.testing.assert_close(result[lead, i], expected)


def test_conditional_mean_is_that_of_samples_near_the_condition():
    covariance = torch.tensor([[[1.0, 0.8], [0.8, 1.5]]]).double()
    draws = torch.linalg.cholesky(covariance[0]) @ torch.randn(2, 400_000, generator=torch.manual_seed(0)).double()
    near = (draws[0] - 1.2).abs() < 0.02
    expected = conditional_mean(
        torch.zeros(1, 2).double(), covariance, torch.tensor([[True, False]]), torch.full((1, 2), 1.2).double()
    )
    assert float(draws[1, near].mean()) == pytest.approx(float(expected[0, 1]), abs=0.03)


@pytest.mark.parametrize("covariance", ["global", "amortized"])
def test_factors_are_triangular_with_a_positive_diagonal(covariance):
    factor = CholeskyFactor(4, 3, covariance)
    torch.nn.init.normal_(factor.entries)
    result = factor(torch.randn(6, 4))
    assert torch.equal(result, result.tril())
    assert (result.diagonal(dim1=1, dim2=2) > 0).all()
    assert bool((result[0] == result[1]).all()) == (covariance == "global")


def test_damped_probability_is_near_the_integral():
    for mean, variance in ((0.5, 1.0), (-2.0, 4.0), (1.0, 0.25)):
        draws = mean + variance**0.5 * torch.randn(400_000, generator=torch.manual_seed(0), dtype=torch.float64)
        damp = float(damping(torch.tensor([[[variance]]])))
        assert 1 / (1 + math.exp(-damp * mean)) == pytest.approx(float(draws.sigmoid().mean()), abs=0.02)


@torch.no_grad()
def test_answer_and_explanation_by_hand():
    model, batch = build(), world(6)
    mean, covariance = model.encode(batch.x)
    result = model.explain(batch.x, target=batch.y)
    for n in range(6):
        logit = mean[n] / (1 + math.pi / 8 * covariance[n].diagonal()).sqrt()
        p = logit.sigmoid()
        p[WING] = logit[WING].softmax(0)
        torch.testing.assert_close(result.strength[n], p)
        torch.testing.assert_close(result.logits[n], model.head.weight @ p + model.head.bias)
        torch.testing.assert_close(result.contribution[n], model.head.weight[batch.y[n]] * p)
    assert result.method == "exact"


@torch.no_grad()
def test_a_correction_moves_the_others_and_an_agreement_does_not():
    model, batch = build(), world(8)
    state = model.encode(batch.x)
    own = model.strengths(state)
    mask = torch.zeros(8, M, dtype=torch.bool)
    mask[:, 0] = True
    same = model.strengths(state, mask, own)
    torch.testing.assert_close(same, own, rtol=1e-6, atol=1e-6)
    up, down = (model.strengths(state, mask, torch.full_like(own, v)) for v in (1.0, 0.0))
    assert (up[:, 0] == 1).all()
    assert (down[:, 0] == 0).all()
    sign = state[1][:, 0, 2].sign()  # concept b follows the sign of its covariance with a
    assert (((up - down)[:, 2]) * sign > 0).all()
    torch.testing.assert_close(up[:, WING].sum(1), torch.ones(8))
    nearly = model.strengths(state, mask, own + 1e-4)
    torch.testing.assert_close(nearly, own, rtol=0, atol=2e-3)  # continuous at the prediction
    group = torch.zeros(8, M, dtype=torch.bool)
    group[:, WING] = True
    torch.testing.assert_close(model.strengths(state, group, own), own, rtol=1e-5, atol=1e-5)


def test_the_logit_of_a_value_is_its_expectation_given_the_concept():
    """Against draws: the mean logit among those whose concept turned out true, or false."""
    generator = torch.Generator().manual_seed(0)
    for mean, variance in ((0.0, 1.0), (-2.0, 4.0), (1.5, 0.5)):
        draws = mean + variance**0.5 * torch.randn(400_000, generator=generator, dtype=torch.float64)
        true = torch.rand(400_000, generator=generator, dtype=torch.float64) < draws.sigmoid()
        p = true.double().mean()[None, None]
        args = torch.tensor([[mean]]).double(), torch.tensor([[[variance]]]).double(), p
        for value, rows in ((1.0, true), (0.0, ~true)):
            result = posterior_mean(*args, torch.full((1, 1), value).double())
            assert float(result) == pytest.approx(float(draws[rows].mean()), abs=0.12 * variance**0.5)
        assert float(posterior_mean(*args, p)) == mean


@torch.no_grad()
def test_the_head_is_fitted_on_the_annotations():
    model, batch = build(), world(60, unknown=0.2)
    measured = model.fit_head([batch], l2=1e-2)
    assert measured["kkt residual"] < 1e-5
    own = model.strengths(model.encode(batch.x))
    inputs = torch.where(batch.concepts.isfinite(), batch.concepts.nan_to_num(), own)
    weight = model.head.weight.clone().requires_grad_(True)
    with torch.enable_grad():
        F.cross_entropy(inputs @ weight.T + model.head.bias, batch.y).backward()
    torch.testing.assert_close(weight.grad, -1e-2 * model.head.weight, rtol=0, atol=1e-5)


@torch.no_grad()
def test_losses_against_loops_over_samples():
    model, batch = build(), world(4, unknown=0.3)
    torch.manual_seed(5)
    terms = model.loss(batch, {"concept": 1.0, "precision": 1.0})
    torch.manual_seed(5)
    noise = torch.randn(30, 4, M)
    mean, covariance = model.encode(batch.x)
    factor = torch.linalg.cholesky(covariance)
    logits = torch.stack([mean + (factor @ noise[s][..., None])[..., 0] for s in range(30)])
    drawn = model.space.sample(logits)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert (drawn[..., WING].sum(-1) == 1).all()
    task, concept, known = 0.0, 0.0, 0
    for n in range(4):
        p = torch.stack([(model.head.weight @ drawn[s, n] + model.head.bias).softmax(0) for s in range(30)]).mean(0)
        task -= float(p[batch.y[n]].log()) / 4
        each = []
        for s in range(30):
            z, c = logits[s, n], batch.concepts[n]
            log_p = sum(float(F.logsigmoid(z[j] if c[j] else -z[j])) for j in (0, 2) if not c[j].isnan())
            if not c[1].isnan():
                log_p += float(z[WING].log_softmax(0) @ c[WING])
            each.append(log_p)
        concept -= float(torch.tensor(each).double().logsumexp(0)) - math.log(30)
        known += sum(not batch.concepts[n, j].isnan() for j in (0, 1, 2))
    assert float(terms["task"]) == pytest.approx(task, rel=1e-4)
    assert float(terms["concept"]) == pytest.approx(concept / known, rel=1e-4)
    inverse = torch.linalg.inv(covariance)
    outside = inverse.masked_fill(torch.eye(M).bool(), 0).abs().sum((1, 2)) / (M * (M - 1))
    assert float(terms["precision"]) == pytest.approx(float(outside.mean()), rel=1e-3)
    assert tuple(model.loss(batch, {"task": 0.0})) == ()


def test_samples_carry_the_gradient_of_their_probabilities():
    model = build()
    logits = torch.zeros(2000, M, requires_grad=True)
    torch.manual_seed(0)
    drawn = model.space.sample(logits)
    drawn[:, 0].sum().backward()
    drawn = drawn.detach()
    torch.testing.assert_close(logits.grad[:, 0], torch.full((2000,), 0.25))
    assert float(drawn[:, 0].mean()) == pytest.approx(0.5, abs=0.05)
    assert float(drawn[:, 1].mean()) == pytest.approx(1 / 3, abs=0.05)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="samples is 0"):
        build(samples=0)
    with pytest.raises(ValueError, match="concept 'size' is continuous"):
        build(concepts={"columns": COLUMNS | {"size": {"kind": "continuous"}}})
