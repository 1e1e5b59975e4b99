import pytest
import torch

from zoo import create_data
from zoo.data.images._augment.gaussian_noise import Noise

ARGS = {"size": 16, "batch_size": 32, "limit": 64, "augment": "none"}


def batch_of(split="train", augment=True, epoch=0, batch_size=None, **args):
    data = create_data("digits", **{**ARGS, **args})
    loader = data.loader(split, augment=augment, batch_size=batch_size)
    loader.batch_sampler.set_epoch(epoch)
    batches = list(loader)
    return torch.cat([b.x for b in batches]), batches


def test_noise_has_the_standard_deviation_clip_and_share():
    x = torch.zeros(400, 3, 20, 20)
    keys = [(0, 0, i) for i in range(400)]
    noisy = Noise(0.2, 0.25, 0.5)(x, keys)
    changed = noisy.flatten(1).abs().amax(1) > 0
    assert 0.4 < float(changed.double().mean()) < 0.6
    assert float(noisy.abs().max()) == pytest.approx(0.25)
    clipped = torch.randn(10**6).mul(0.2).clamp(-0.25, 0.25)
    assert float(noisy[changed].std()) == pytest.approx(float(clipped.std()), rel=0.01)
    assert float(x.abs().max()) == 0
    assert torch.equal(Noise(0.2, 0.25, 0.5)(x[5:9], keys[5:9]), noisy[5:9])


def test_noise_of_a_source():
    clean, _ = batch_of()
    noisy, _ = batch_of(noise=0.2)
    changed = (noisy - clean).flatten(1).abs().amax(1) > 0
    assert 0.2 < float(changed.double().mean()) < 0.8
    assert torch.equal(noisy[~changed], clean[~changed])
    assert float((noisy - clean).abs().max()) <= 0.25 + 1e-6
    assert torch.equal(batch_of(noise=0.2, batch_size=7)[0], noisy)  # not of the batch
    assert not torch.equal(batch_of(noise=0.2, epoch=1)[0], noisy)
    assert torch.equal(batch_of(noise=0.2, augment=False)[0], clean)
    assert torch.equal(batch_of("val", augment=False, noise=0.2)[0], batch_of("val", augment=False)[0])


def test_every_view_has_noise_of_its_own():
    _, clean = batch_of(views=2)
    _, noisy = batch_of(views=2, noise=0.2, noise_share=1.0)
    first = noisy[0].x - clean[0].x
    second = noisy[0].views[:, 0] - clean[0].views[:, 0]
    assert min(float(n.flatten(1).std(1).min()) for n in (first, second)) > 0.1
    assert abs(float(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1])) < 0.05


@pytest.mark.parametrize(
    "args", [{"noise": -0.1}, {"noise": 0.2, "noise_clip": 0.0}, {"noise": 0.2, "noise_share": 1.5}]
)
def test_numbers_out_of_range(args):
    with pytest.raises(ValueError, match=r"data\.noise"):
        create_data("digits", **ARGS, **args)
