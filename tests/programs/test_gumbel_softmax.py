"""Relaxed choices against their definitions in plain operations: values and derivatives."""

import pytest
import torch

from zoo.programs.learn.gumbel_softmax import FAINT, TINY, Sampler


@pytest.fixture
def same_noise(monkeypatch):
    monkeypatch.setattr(torch, "rand_like", lambda x: torch.linspace(0.05, 0.95, x.numel(), dtype=x.dtype).view_as(x))


def gumbel(x, on):
    return -(-torch.rand_like(x).log()).log() if on else torch.zeros_like(x)


def same(one, two, *inputs):
    grad = torch.linspace(-1, 1, one.numel(), dtype=one.dtype).view_as(one)
    torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12)
    for mine, theirs in zip(*(torch.autograd.grad(out, inputs, grad) for out in (one, two)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize(("tau", "dim"), [(1.0, 2), (0.3, -1), (3.0, 0)])
def test_a_choice(noise, tau, dim, same_noise):
    logits = torch.randn(3, 2, 5, dtype=torch.float64, requires_grad=True)
    expected = ((logits + gumbel(logits, noise)) / tau).softmax(dim)
    same(Sampler(tau, noise=noise)(logits, dim), expected, logits)


def by_formula(match, bias, hidden, scale, tau, noise):
    """The definition of attention: the first position if nothing matches, near keys preferred; log, noise, softmax."""
    match = match.masked_fill(hidden, 0)
    total = match.sum(2, keepdim=True)
    first = torch.relu(1 - total / (total + FAINT))
    match = torch.cat([match[:, :, :1] + first, match[:, :, 1:]], 2)
    logits = ((match + TINY).log() + bias).masked_fill(hidden, -1e30) * scale
    return ((logits + gumbel(logits, noise)) / tau).softmax(2)


@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize("tau", [0.5, 2.0])
def test_attention(noise, tau, same_noise):
    torch.manual_seed(0)
    n, b = 4, 3
    match = torch.rand(2, 2, n, b, n, dtype=torch.float64)
    match[0, 0, :, 0] = 0  # nothing matches
    match[0, 1, :, 1] *= 1e-10  # next to nothing: the first position counts in part
    match.requires_grad_()
    bias = torch.randn(n, 1, n, dtype=torch.float64)
    size = torch.tensor([4, 2, 3])
    place = torch.arange(n)
    hidden = (place[:, None, None] >= size[:, None]) | (place[:, None, None] > place)
    expected = by_formula(match, bias, hidden, 0.5, tau, noise)
    result = Sampler(tau, noise=noise).attend(match, bias, hidden, 0.5)
    torch.testing.assert_close(result.sum(2), torch.ones(2, 2, b, n, dtype=torch.float64))
    torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-12)
    grad = torch.randn_like(result)
    mine, theirs = (torch.autograd.grad(out, match, grad)[0] for out in (result, expected))
    torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-9)
    assert not mine.masked_select(hidden.expand_as(mine)).any()


def test_hard_choices():
    hard = Sampler(0.01, hard=True)
    assert hard(torch.tensor([[1.0, 3.0, 2.0]]), 1).tolist() == [[0, 1, 0]]
    match = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]])[None, None, :, None]  # (1, 1, j, 1, i)
    hidden = torch.zeros(3, 1, 2, dtype=torch.bool)
    near = torch.tensor([[0.0, 0.0], [-1.0, 0.0], [-0.5, 0.0]])[:, None]
    assert hard.attend(match, near, hidden, 1.0)[0, 0, :, 0].tolist() == [[0, 1], [0, 0], [1, 0]]
    assert hard(torch.zeros(2, 0), 1).shape == (2, 0)


def test_noise_is_gumbel():
    torch.manual_seed(0)
    logits = torch.tensor([0.0, 1.0, 2.0]).log_softmax(0).expand(40_000, 3)
    share = Sampler(1e-3)(logits, 1).argmax(1).bincount() / len(logits)
    torch.testing.assert_close(share, logits[0].exp(), rtol=0, atol=0.01)
