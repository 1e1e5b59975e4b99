"""The L1 path of a head: its steps are optima, its signs hold, its choice and refit are what they say."""

import pytest
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from zoo.layers.text.anchor_choice import choose_anchors, choose_candidates, standardized
from zoo.layers.text.sparse_path import refit, smallest_within_one_error, sparse_path


def problem(n=150, u=30, c=3):
    g = torch.Generator().manual_seed(0)
    y = torch.arange(n) % c
    owner = torch.arange(u) % c
    scores = torch.randn(n, u, generator=g, dtype=torch.float64) + (y[:, None] == owner) * (torch.arange(u) < 9)
    return scores, y, owner


def worst(scores, y, step, u, c, l2, sign=None):
    """The largest violation of the optimality conditions, from the definition, by central differences."""
    weight = torch.zeros(c, u, dtype=torch.float64)
    weight[:, step.units] = step.weight

    def smooth(w):
        return float(F.cross_entropy(scores @ w.T + step.bias, y) + l2 / 2 * w.square().sum())

    eps, out = 1e-6, 0.0
    for a in range(c):
        for b in range(u):
            move = torch.zeros_like(weight)
            move[a, b] = eps
            slope = (smooth(weight + move) - smooth(weight - move)) / (2 * eps)
            free = 0 if sign is None else int(sign[a, b])
            if weight[a, b] != 0:
                out = max(out, abs(slope + step.l1 * float(weight[a, b].sign())))
            elif free == 0:
                out = max(out, abs(slope) - step.l1)
            else:
                out = max(out, -free * slope - step.l1)
    return out


@pytest.mark.parametrize("signed", [False, True])
def test_every_step_is_an_optimum_over_all_candidates(signed):
    scores, y, owner = problem()
    sign = (2.0 * F.one_hot(owner, 3).T - 1).double() if signed else None
    path = sparse_path(scores, y, classes=3, sign=sign, max_units=14, ratio=0.7)
    sizes = [len(step.units) for step in path]
    assert sizes[0] >= 1
    assert 6 <= sizes[-1] <= 14
    for step in (path[1], path[-1]):
        assert worst(scores, y, step, 30, 3, 1e-4, sign) < 2e-4
        if sign is not None:
            assert bool((step.weight * sign[:, step.units] >= 0).all())


def test_the_path_is_that_of_scikit_learn_and_the_same_for_a_sparse_matrix():
    scores, y, _ = problem()
    path = sparse_path(scores, y, classes=3, max_units=20, l2=1e-9)
    step = path[-1]
    saga = {"solver": "saga", "tol": 1e-7, "max_iter": 20_000, "l1_ratio": 1.0}
    other = LogisticRegression(C=1 / (len(y) * step.l1), **saga).fit(scores.numpy(), y.numpy())
    weight = torch.zeros(3, 30, dtype=torch.float64)
    weight[:, step.units] = step.weight
    torch.testing.assert_close(weight, torch.from_numpy(other.coef_), rtol=0, atol=1e-3)
    sparse = sparse_path(csr_matrix(scores.numpy()), y, classes=3, max_units=20, l2=1e-9)
    assert [s.units.tolist() for s in sparse] == [s.units.tolist() for s in path]
    torch.testing.assert_close(sparse[-1].weight, step.weight, rtol=0, atol=1e-6)


def test_refit_is_ridge_regression_and_holds_signs():
    scores, y, owner = problem()
    weight, bias, residual = refit(scores[:, :9], y, classes=3, l2=1e-2)
    assert residual < 1e-5
    other = LogisticRegression(C=1 / (len(y) * 1e-2), tol=1e-9, max_iter=5000).fit(scores[:, :9].numpy(), y.numpy())
    torch.testing.assert_close(weight, torch.from_numpy(other.coef_), rtol=0, atol=1e-4)
    sign = (2.0 * F.one_hot(owner[:9], 3).T - 1).double()
    signed, _, residual = refit(
        -scores[:, :9], y, classes=3, l2=1e-2, sign=sign
    )  # every weight would be of the other sign
    assert residual < 1e-5
    assert bool((signed * sign >= 0).all())
    assert bool((signed.abs() < 1e-6).float().mean() > 0.5)


def test_one_standard_error():
    g = torch.Generator().manual_seed(0)
    base = torch.rand(100, generator=g)
    losses = torch.stack([base + 1.0, base + 0.01, base, base + 0.001])
    assert smallest_within_one_error(losses, [1, 5, 9, 7]) == 1
    assert smallest_within_one_error(losses + torch.tensor([[0.0], [1.0], [0.0], [0.0]]), [1, 5, 9, 7]) == 3


def test_own_row_is_left_out_of_mean_and_spread():
    z = F.normalize(torch.randn(20, 4, generator=torch.Generator().manual_seed(1)), dim=1)
    scores, mean, std = standardized(z, z[[3, 7]], torch.tensor([3, 7]))
    raw = z.double() @ z[3].double()
    others = torch.cat([raw[:3], raw[4:]])
    torch.testing.assert_close(mean[0], others.mean())
    torch.testing.assert_close(std[0], others.std(correction=0))
    assert float(scores[3, 0]) == 0.0
    torch.testing.assert_close(scores[5, 0], (raw[5] - others.mean()) / others.std(correction=0))


def test_candidates_are_different_texts_of_all_classes():
    codes = torch.arange(40)[:, None].repeat(1, 3)
    codes[20:30] = codes[0]
    y = (torch.arange(40) >= 36).long()
    ids = choose_candidates(codes, y, 8)
    assert len(codes[ids].unique(dim=0)) == 8
    assert torch.bincount(y[ids]).tolist() == [4, 4]
    assert torch.equal(ids, choose_candidates(codes, y, 8))
    assert not torch.equal(ids, choose_candidates(codes, y, 8, seed=1))


def test_anchors_of_separate_clouds_are_of_each_and_answer():
    g = torch.Generator().manual_seed(0)
    centers = F.normalize(torch.randn(3, 8, generator=g), dim=1)
    y = torch.arange(90) % 3
    z = F.normalize(centers[y] + 0.3 * torch.randn(90, 8, generator=g), dim=1)
    codes = torch.arange(90)[:, None]
    options = {"classes": 3, "max_units": 6, "candidates": 60, "own_class": True, "smallest": True}
    choice = choose_anchors(codes[:60], z[:60], y[:60], (z[60:], y[60:]), **options)
    assert len(choice.ids) <= 6
    assert len(y[choice.ids].unique()) >= 2
    assert choice.figures["validation accuracy"] > 0.9
    own = 2.0 * F.one_hot(y[choice.ids], 3).T - 1
    assert bool((choice.weight * own >= 0).all())
