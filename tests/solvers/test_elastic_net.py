"""Elastic-net paths against scikit-learn and against the optimality conditions."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from zoo.solvers.elastic_net import ElasticNet


def problem(n=2000, u=20, c=5, seed=0):
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(c, (n,), generator=g)
    scores = torch.randn(n, u, generator=g, dtype=torch.float64)
    scores = scores + torch.randn(c, u, generator=g, dtype=torch.float64)[y] * (torch.arange(u) < u // 2)
    return (scores - scores.mean(0)) / scores.std(0), y


def gradients(point, scores, y):
    """Gradients of the cross-entropy, by autograd."""
    weight, bias = point.weight.clone().requires_grad_(True), point.bias.clone().requires_grad_(True)
    return torch.autograd.grad(F.cross_entropy(scores @ weight.T + bias, y), [weight, bias])


@pytest.mark.parametrize(("share", "alpha"), [(0.3, 0.99), (0.05, 0.99), (0.1, 0.5), (0.05, 1.0)])
def test_equal_to_scikit_learn(share, alpha):
    """Its objective is C * summed loss + ratio * |W| + (1 - ratio) / 2 * W^2."""
    scores, y = problem()
    net = ElasticNet(scores, y, alpha=alpha, tolerance=1e-8)
    penalty = share * net.largest_penalty()
    point = net.fit(penalty)
    theirs = LogisticRegression(
        C=1 / (len(y) * penalty), l1_ratio=alpha, solver="saga", tol=1e-10, max_iter=5000, random_state=0
    ).fit(scores.numpy(), y.numpy())
    torch.testing.assert_close(point.weight, torch.from_numpy(theirs.coef_), rtol=0, atol=1e-5)
    bias = torch.from_numpy(theirs.intercept_)  # a shift of all biases changes nothing
    torch.testing.assert_close(point.bias - point.bias.mean(), bias - bias.mean(), rtol=0, atol=1e-5)
    assert torch.equal(point.weight != 0, torch.from_numpy(theirs.coef_ != 0))


def test_every_point_of_a_path_meets_the_optimality_conditions():
    scores, y = problem(n=400, u=12, c=4)
    points = ElasticNet(scores, y, alpha=0.9).path(count=6, smallest=0.005)
    for point in points:
        weight, bias = gradients(point, scores, y)
        weight = weight + point.penalty * 0.1 * point.weight
        l1 = point.penalty * 0.9
        violation = torch.where(
            point.weight == 0, (weight.abs() - l1).clamp_min(0), (weight + l1 * point.weight.sign()).abs()
        )
        worst = max(float(violation.max()), float(bias.abs().max()))
        assert worst < 2e-6
        assert point.residual == pytest.approx(worst, abs=1e-9)
    counts = [point.nonzeros_per_class for point in points]
    assert counts == sorted(counts)
    assert counts[-1] > 8
    assert points[0].nonzeros_per_class == 0


def test_all_weights_are_zero_at_the_largest_penalty_and_not_below():
    scores, y = problem(n=300, u=6, c=3)
    net = ElasticNet(scores, y)
    largest = net.largest_penalty()
    one_hot = F.one_hot(y).double()
    assert largest == pytest.approx(float(((one_hot - one_hot.mean(0)).T @ scores).abs().max()) / 300 / 0.99)
    at, below = net.fit(largest * (1 + 1e-6)), net.fit(largest * 0.999)
    assert not at.weight.any()
    assert below.weight.any()
    torch.testing.assert_close(at.bias.softmax(0), one_hot.mean(0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("per_class", [2, 5, 30])
def test_a_number_of_nonzeros(per_class):
    scores, y = problem(n=500)
    net = ElasticNet(scores, y)
    point = net.fit_with_nonzeros(per_class)
    assert point.nonzeros_per_class <= per_class
    if per_class < 20:
        assert point.nonzeros_per_class > per_class - 1
    else:  # more than there are
        assert point.penalty == pytest.approx(net.largest_penalty() / 1000)
    assert net.fit(point.penalty).nonzeros_per_class == point.nonzeros_per_class
    loss = float(F.cross_entropy(point.logits(scores), y))
    assert loss < float(F.cross_entropy(net.fit(3 * point.penalty).logits(scores), y)) < 1.62


def test_penalties_given_by_hand_and_another_loss():
    scores, y = problem(n=200, u=5, c=3)
    target = scores @ torch.tensor([[1.0, 0, 0, -2, 0]]).double().T
    net = ElasticNet(scores, target, outputs=1, loss=lambda z: (z - target).square().mean() / 2, alpha=1.0)
    points = net.path([0.1, 1e-6])
    assert [p.penalty for p in points] == [0.1, 1e-6]
    assert (points[0].weight != 0).tolist() == [[True, False, False, True, False]]
    torch.testing.assert_close(points[1].weight[0], torch.tensor([1.0, 0, 0, -2, 0]).double(), rtol=0, atol=1e-4)
    assert y.max() == 2


def test_a_class_without_samples_and_wrong_arguments():
    scores, y = problem(n=100, u=4, c=3)
    point = ElasticNet(scores, y, outputs=4).fit(0.01)
    assert point.weight.shape == (4, 4)
    assert not point.weight[3].any()
    assert point.residual < 1e-6
    with pytest.raises(ValueError, match="NaN or infinite"):
        ElasticNet(scores * torch.nan, y)
    with pytest.raises(ValueError, match="alpha is 0; expected"):
        ElasticNet(scores, y, alpha=0)
