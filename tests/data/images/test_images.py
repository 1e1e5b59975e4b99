"""What all sources of images share: one channel or three."""

import pytest
import torch
from PIL import Image

from zoo.data import create_data
from zoo.data.split import Unfinished


def test_one_channel_is_the_mean_of_three(user_folder):
    root, _ = user_folder
    args = {"root": str(root), "size": 8, "mean": [0.2, 0.4, 0.6], "std": [0.1, 0.2, 0.6]}
    one, three = create_data("folder", channels=1, **args), create_data("folder", **args)
    assert (one.input_shape, three.input_shape) == ((1, 8, 8), (3, 8, 8))
    for name in ("train", "test"):
        a, b = (next(iter(data.loader(name, batch_size=20))) for data in (one, three))
        assert a.x.shape[1:] == (1, 8, 8)
        pixels = three.to_image(b.x).mean(1, keepdim=True)
        torch.testing.assert_close(a.x, (pixels - 0.4) / 0.3, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one.to_image(a.x), pixels.expand(-1, 3, -1, -1))
    name = one.splits["test"].names[0]
    typed = one.read_input(str(root / name))
    torch.testing.assert_close(typed, one.samples("test", [0]).x[0])
    with pytest.raises(ValueError, match=r"data.channels is 2; expected Literal\[1, 3\]"):
        create_data("folder", channels=2, **args)


def test_a_gray_source_in_one_channel():
    gray, rgb = (create_data("digits", limit=10, size=8, channels=c) for c in (1, 3))
    a, b = (next(iter(d.loader("test"))).x for d in (gray, rgb))
    assert a.shape == (10, 1, 8, 8)
    torch.testing.assert_close(a.expand(-1, 3, -1, -1), b)


def test_inputs_that_are_no_images(tmp_path):
    data = create_data("digits", limit=10)
    (tmp_path / "a.png").write_text("no picture")
    for name in ("a.png", "gone.png"):
        with pytest.raises(ValueError, match=name):
            data.read_input(str(tmp_path / name))
    Image.new("L", (30, 20), 255).save(tmp_path / "b.png")
    torch.testing.assert_close(data.read_input(str(tmp_path / "b.png")), torch.ones(3, 32, 32))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("policy", ["none", "full"])
def test_a_batch_that_the_main_process_finishes_is_bit_identical(policy, workers):
    data = create_data("digits", limit=40, batch_size=16, augment=policy, workers=workers)
    batches = list(data.loader("train", augment=True))
    loader = data.loader("train", augment=True)
    loader.dataset.device = "cpu"  # as a GPU would be
    unfinished = loader.dataset.__getitems__([(0, 0), (0, 1)])
    assert isinstance(unfinished, Unfinished)
    assert unfinished.batch.x.dtype == torch.uint8
    later = list(loader)
    assert len(later) == len(batches) == 3
    for one, two in zip(batches, later, strict=True):
        for field in ("x", "y", "index", "points", "visible", "concepts"):
            assert torch.equal(getattr(one, field), getattr(two, field)), field
    device = unfinished.to("meta")
    assert device.batch.x.is_meta
    assert device.draws is None or device.draws.affine.is_meta
