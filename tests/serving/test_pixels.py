"""The preprocessing in a graph gives what the reader of pictures gives, at any size."""

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.inputs.image import ImageInputs
from zoo.serving.pixels import Pixels, resampled

SIZES = [(20, 20), (1, 1), (2, 3), (7, 50), (64, 64), (333, 251), (41, 40)]


@pytest.mark.parametrize("options", [{}, {"channels": 1, "mean": (0.4,), "std": (0.3,)}, {"fit": "crop"}], ids=str)
def test_every_size_is_read_as_the_reader_reads_it(options):
    inputs = ImageInputs(size=20, **options)
    noise = np.random.default_rng(0)
    for height, width in SIZES:
        pixels = noise.integers(0, 256, (height, width, 3), dtype=np.uint8)
        got = Pixels(inputs)(torch.from_numpy(pixels)[None])
        assert torch.equal(got, inputs.read(pixels).x), (height, width)


def test_one_side_shrinks_while_the_other_grows():
    """The order of the two passes is Pillow's, up to one gray level where rounding between them differs."""
    inputs = ImageInputs(size=32, mean=(0, 0, 0), std=(1, 1, 1))
    pixels = np.random.default_rng(0).integers(0, 256, (33, 31, 3), dtype=np.uint8)
    difference = 255 * (Pixels(inputs)(torch.from_numpy(pixels)[None]) - inputs.read(pixels).x).abs()
    assert difference.max() < 1.001


@pytest.mark.parametrize(("n", "size"), [(9, 4), (4, 9), (5, 5), (100, 3)])
def test_resampling_is_that_of_pillow(n, size):
    row = np.random.default_rng(n).integers(0, 256, (1, n), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(row).resize((size, 1), Image.Resampling.BILINEAR))
    assert resampled(torch.from_numpy(row).int(), size, n).tolist() == expected.tolist()
