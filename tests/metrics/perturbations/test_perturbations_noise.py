import pytest
import torch
from worlds import batch, take

from zoo.metrics import Noise, gaussian_noise
from zoo.metrics.perturbations.noise import random_bits


def noise(b=8, side=64, **how):
    return gaussian_noise(torch.zeros(b, 3, side, side), torch.arange(b), **({"draw": 0, "clip": None} | how))


def test_is_normal_white_and_clipped_where_asked():
    x = noise(16)
    assert abs(float(x.mean())) < 2e-3
    assert float(x.std()) == pytest.approx(0.2, rel=5e-3)
    assert float((x / 0.2).pow(4).mean()) == pytest.approx(3, rel=0.03)
    flat = x.flatten(1)
    assert torch.corrcoef(flat).triu(1).abs().max() < 0.05
    ends = x.flatten()
    assert abs(float((ends[1:] * ends[:-1]).mean() / 0.04)) < 0.01
    half = flat.shape[1] // 2
    assert abs(float((flat[:, :half] * flat[:, half:]).mean() / 0.04)) < 0.01
    clipped = noise(clip=0.25)
    assert float(clipped.max()) == 0.25
    assert float(clipped.min()) == -0.25
    assert torch.equal(clipped, noise().clamp(-0.25, 0.25))


def test_bits_are_uniform():
    bits = random_bits(torch.arange(50), draw=3, count=1000)
    ones = ((bits[..., None] >> torch.arange(64)) & 1).double().mean((0, 1))
    assert (ones - 0.5).abs().max() < 0.012
    assert bits.unique().numel() == bits.numel()


def test_depends_on_sample_and_draw_alone():
    samples = batch(7)
    whole = Noise()(samples, 1).x
    rows = torch.tensor([5, 0, 3])
    assert torch.equal(Noise()(take(samples, rows), 1).x, whole[rows])
    assert not torch.equal(Noise()(samples, 2).x, whole)
    assert not torch.equal(whole[0] - samples.x[0], whole[1] - samples.x[1])


def test_leaves_input_random_state_and_type_alone():
    samples, state = batch(3), torch.get_rng_state()
    kept = samples.x.clone()
    changed = Noise()(samples, 0)
    assert torch.equal(samples.x, kept)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(changed.points, samples.points)
    assert gaussian_noise(kept.bfloat16(), samples.index, draw=0, clip=None).dtype == torch.bfloat16
    assert gaussian_noise(torch.zeros(2, 5), torch.arange(2), draw=0, clip=None).shape == (2, 5)


def test_wants_one_id_for_each_sample():
    with pytest.raises(ValueError, match="one for each sample"):
        gaussian_noise(torch.zeros(2, 5), torch.arange(3), draw=0, clip=None)
