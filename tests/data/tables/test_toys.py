"""The toys by their formulas, read back off the inputs alone."""

import pytest
import torch

from zoo.data import create_data

KINDS = ("xor", "trig", "dot")


def every(kind, **args):
    data = create_data("toys", kind=kind, **args)
    splits = [data.splits[s] for s in ("train", "val", "test")]
    return data, *(torch.cat([getattr(s, k) for s in splits]) for k in ("x", "concepts", "y"))


def test_xor():
    _, x, concepts, y = every("xor")
    assert 0 <= x.min() < 0.01 < 0.99 < x.max() <= 1
    for (a, b), (p, q), label in zip(x.tolist(), concepts.tolist(), y.tolist(), strict=True):
        assert [p, q] == [a > 0.5, b > 0.5]
        assert label == ((a > 0.5) != (b > 0.5))
    side = concepts * 2 - 1  # no linear rule on the two concepts beats three in four
    rules = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0))
    right = ((side @ rules[:, :2].T + rules[:, 2] > 0) == (y[:, None] == 1)).float().mean(0)
    assert 0.72 < right.max() < 0.78


def test_trig():
    _, x, concepts, y = every("trig")
    wave, total = x[:, :6].double().unflatten(1, (3, 2)), x[:, 6]
    # sin h + h and cos h + h increase with h, so bisection finds h again.
    low, high = torch.full_like(wave[..., 0], -20), torch.full_like(wave[..., 0], 20)
    for _ in range(60):
        middle = (low + high) / 2
        above = middle.sin() + middle > wave[..., 0]
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    assert (low.cos() + low - wave[..., 1]).abs().max() < 0.1  # flat where cos h = -1
    assert (low.cos() + low - wave[..., 1]).abs().median() < 1e-5
    torch.testing.assert_close(low.square().sum(1).float(), total, rtol=1e-2, atol=1e-2)
    clear = low.abs().min(1).values > 1e-3
    assert torch.equal(low[clear] > 0, concepts[clear] == 1)
    clear = (low[:, 0] + low[:, 1]).abs() > 0.1
    assert torch.equal((low[:, 0] + low[:, 1] > 0)[clear], y[clear] == 1)
    assert low.var(0).sub(2).abs().max() < 0.2
    by_concepts = torch.where(concepts[:, 0] == concepts[:, 1], concepts[:, 0] == y, True).all()
    assert by_concepts, "two equal signs say the class"
    assert 0.4 < y[concepts[:, 0] != concepts[:, 1]].float().mean() < 0.6, "two different signs do not"


def test_dot():
    _, x, concepts, y = every("dot")
    v, w = (x[:, :2] + x[:, 2:]) / 2, (x[:, :2] - x[:, 2:]) / 2
    signs = torch.stack([v.sum(1), w.sum(1)], 1)
    clear = signs.abs().min(1).values > 1e-3
    assert torch.equal((signs > 0)[clear], concepts[clear] == 1)
    dot = v[:, 0] * w[:, 0] + v[:, 1] * w[:, 1]
    clear = dot.abs() > 1e-3
    assert torch.equal((dot > 0)[clear], y[clear] == 1)
    assert torch.cat([v, w], 1).var(0).sub(2).abs().max() < 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_from_the_seed(kind):
    one, again = every(kind)[0], every(kind)[0]
    assert one.fingerprint() == again.fingerprint()
    others = {every(kind, seed=seed)[0].fingerprint() for seed in range(5)}
    assert len(others) == 5
    labels = torch.cat([every(kind, seed=seed)[1] for seed in range(3)])
    assert len(labels.unique(dim=0)) == len(labels), "no split of any seed shares a point"
    before = torch.get_rng_state()
    every(kind)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_counts_and_names(kind):
    data, x, concepts, y = every(kind, n_train=30, n_val=10, n_test=20)
    assert [len(data.splits[s]) for s in ("train", "val", "test")] == [30, 10, 20]
    assert x.shape == (60, len(data.feature_names))
    assert data.input_shape == (len(data.feature_names),)
    assert concepts.shape == (60, len(data.concepts))
    assert set(y.tolist()) == {0, 1}
    assert data.name_of("val", 3) == "val/00003"


def test_wrong_arguments():
    with pytest.raises(ValueError, match="data.kind is 'and'; expected"):
        create_data("toys", kind="and")
    with pytest.raises(ValueError, match="data.n_val is 3; expected 8 or more"):
        create_data("toys", n_val=3)
