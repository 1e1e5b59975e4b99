"""What all sources of images share: one channel or three."""

import pytest
import torch
from PIL import Image

from zoo.data import create_data


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
