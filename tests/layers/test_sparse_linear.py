import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from zoo.layers.sparse_linear import fit_sparse_linear, kkt_residual, objective


def problem(n=80, u=8, c=4):
    g = torch.Generator().manual_seed(0)
    y = torch.arange(n) % c
    owner = torch.arange(u) % c
    scores = torch.randn(n, u, generator=g, dtype=torch.float64) + (y[:, None] == owner)
    own = torch.arange(c)[:, None] == owner
    return scores, y, own.double(), ~own


def total(w, scores, y, start, mask, l1, l2):
    return float(objective(w, scores, y, start, l2=l2) + l1 * w[mask].abs().sum())


def ista(scores, y, start, mask, l1, l2, steps=4000):
    """Accelerated proximal gradient with a step that is safe for softmax regression."""
    step = 1 / (0.5 * float(torch.linalg.matrix_norm(scores, 2)) ** 2 / len(y) + l2)
    w, ahead, t = start.clone(), start.clone(), 1.0
    for _ in range(steps):
        p = torch.softmax(ahead @ scores.T, 0)
        p[y, torch.arange(len(y))] -= 1
        v = ahead - step * (p @ scores / len(y) + l2 * (ahead - start))
        new = torch.where(mask, v.sign() * (v.abs() - step * l1).clamp_min(0), v)
        t, old = (1 + (1 + 4 * t * t) ** 0.5) / 2, t
        ahead, w = new + (old - 1) / t * (new - w), new
    return w


@pytest.mark.parametrize(("l1", "l2"), [(1e-3, 1e-3), (2e-2, 1e-2), (1e-4, 1e-1), (0.0, 1e-2)])
def test_optimum(l1, l2):
    scores, y, start, mask = problem()
    w, residual = fit_sparse_linear(scores, y, start, mask, l1=l1, l2=l2)
    assert residual < 1e-5
    slow = ista(scores, y, start, mask, l1, l2)
    assert kkt_residual(slow, scores, y, start, mask, l1=l1, l2=l2) < 1e-5
    assert total(w, scores, y, start, mask, l1, l2) <= total(slow, scores, y, start, mask, l1, l2) + 1e-9
    torch.testing.assert_close(w, slow, rtol=1e-2, atol=3e-3)
    if l1:
        assert ((w == 0) & mask).sum() >= ((slow == 0) & mask).sum() - 1


def test_strong_penalty_gives_exact_zeros_only_where_it_acts():
    scores, y, start, mask = problem()
    w, residual = fit_sparse_linear(scores, y, start, mask, l1=10.0, l2=1e-3)
    assert residual < 1e-5
    assert (w[mask] == 0).all()
    assert (w[~mask] != 0).all()


def test_against_scikit_learn_ridge():
    scores, y, start, mask = problem()
    zero, l2 = torch.zeros_like(start), 5e-3
    w, _ = fit_sparse_linear(scores, y, zero, mask, l1=0.0, l2=l2)
    other = LogisticRegression(C=1 / (len(y) * l2), fit_intercept=False, tol=1e-8, max_iter=5000)
    other.fit(scores.numpy(), y.numpy())
    np.testing.assert_allclose(w.numpy(), other.coef_, atol=1e-3)


def test_against_scikit_learn_lasso():
    scores, y, start, _ = problem()
    zero, l1 = torch.zeros_like(start), 1e-2
    everywhere = torch.ones_like(start, dtype=torch.bool)
    w, _ = fit_sparse_linear(scores, y, zero, everywhere, l1=l1, l2=0.0)
    other = LogisticRegression(
        C=1 / (len(y) * l1), l1_ratio=1, solver="saga", fit_intercept=False, tol=1e-7, max_iter=20000
    )
    other.fit(scores.numpy(), y.numpy())
    theirs = torch.from_numpy(other.coef_)
    assert total(w, scores, y, zero, everywhere, l1, 0.0) <= total(theirs, scores, y, zero, everywhere, l1, 0.0) + 1e-8


def with_ones():
    """The problem with unequal classes and a column of ones: three classes on few scores, so that the bias matters."""
    scores, y, _, _ = problem(n=120, u=6, c=4)
    y = torch.where(y == 3, 0, y)
    start = torch.zeros(3, 7, dtype=torch.float64)
    return torch.cat([scores[:, :6] + 1.5, torch.ones(120, 1).double()], 1), y, start, torch.ones_like(start).bool()


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 5e-3), (0.0, 1.0), (1e-2, 0.0), (5e-3, 5e-3), (2e-2, 1e-3)])
def test_a_free_intercept_against_scikit_learn(l1, l2):
    """Its objective is C * summed loss + ratio * |W| + (1 - ratio) / 2 * W^2, and its intercept is not penalised."""
    scores, y, start, everywhere = with_ones()
    w, residual = fit_sparse_linear(scores, y, start, everywhere, l1=l1, l2=l2, bias=True)
    assert residual < 1e-5
    args = {"C": 1 / (len(y) * (l1 + l2)), "max_iter": 100000}
    if l1:
        args |= {"solver": "saga", "l1_ratio": l1 / (l1 + l2), "tol": 1e-9, "random_state": 0}
    else:
        args |= {"solver": "lbfgs", "tol": 1e-9}
    other = LogisticRegression(**args).fit(scores[:, :-1].numpy(), y.numpy())
    theirs = torch.cat([torch.from_numpy(other.coef_), torch.from_numpy(other.intercept_)[:, None]], 1)
    kept, pull = everywhere.clone(), torch.full_like(start, l2)
    kept[:, -1], pull[:, -1] = False, 0.0
    ours, best = (total(v, scores, y, start, kept, l1, pull) for v in (w, theirs))
    assert ours <= best + 1e-8
    assert kkt_residual(w, scores, y, start, kept, l1=l1, l2=pull) == pytest.approx(residual)
    torch.testing.assert_close(w[:, :-1], theirs[:, :-1], rtol=0, atol=2e-3 if l2 else 2e-2)
    centred = [v[:, -1] - v[:, -1].mean() for v in (w, theirs)]  # a shift of all intercepts changes nothing
    torch.testing.assert_close(*centred, rtol=0, atol=2e-3 if l2 else 2e-2)
    if l1:
        assert ((w == 0) & kept).sum() >= ((theirs == 0) & kept).sum() - 1
    assert centred[0].abs().max() > 0.05


def test_however_strong_the_penalty_the_intercepts_are_the_shares_of_the_classes():
    scores, y, start, everywhere = with_ones()
    share = torch.bincount(y).double() / len(y)
    for l1, l2 in ((10.0, 1e-3), (0.0, 1e4)):
        w, residual = fit_sparse_linear(scores, y, start, everywhere, l1=l1, l2=l2, bias=True)
        assert residual < 1e-5
        assert w[:, :-1].abs().max() < 1e-3
        torch.testing.assert_close(w[:, -1].softmax(0), share, rtol=0, atol=1e-3)
    weight, _ = fit_sparse_linear(scores, y, start, everywhere, l1=10.0, l2=1e-3)
    assert not weight.any()  # without bias=True the last column is one like the others


def test_the_mask_of_the_caller_stays_as_it_is():
    scores, y, start, everywhere = with_ones()
    fit_sparse_linear(scores, y, start, everywhere, l1=1e-2, l2=1e-2, bias=True)
    assert everywhere.all()
    assert not start.any()
    with pytest.raises(AssertionError, match="all ones"):
        fit_sparse_linear(scores[:, :-1], y, start[:, :-1], everywhere[:, :-1], l1=0.1, l2=0.1, bias=True)


def test_kkt_residual_by_hand():
    """Two samples, one score, two classes, all weights 0: the gradient is known."""
    scores, y = torch.tensor([[1.0], [-1.0]]).double(), torch.tensor([0, 1])
    zero, mask = torch.zeros(2, 1).double(), torch.tensor([[False], [True]])
    at = lambda l1, w: kkt_residual(w, scores, y, zero, mask, l1=l1, l2=0.0)  # noqa: E731
    assert at(0.2, zero) == pytest.approx(0.5)  # the free weight feels -0.5
    both = torch.tensor([[True], [True]])
    assert kkt_residual(zero, scores, y, zero, both, l1=0.2, l2=0.0) == pytest.approx(0.3)
    assert kkt_residual(zero, scores, y, zero, both, l1=0.7, l2=0.0) == 0


def test_dtype_and_errors():
    scores, y, start, mask = problem()
    w, _ = fit_sparse_linear(scores.float(), y, start.float(), mask, l1=1e-3, l2=1e-3)
    assert w.dtype == torch.float32
    with pytest.raises(ValueError, match="NaN or infinite"):
        fit_sparse_linear(scores * torch.nan, y, start, mask, l1=0.1, l2=0.1)
    with pytest.raises(ValueError, match="both >= 0"):
        fit_sparse_linear(scores, y, start, mask, l1=-0.1, l2=0.1)
