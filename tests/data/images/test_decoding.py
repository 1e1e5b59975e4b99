"""Fast reading that changes no result beyond rounding: drafts of JPEG files, kept landmarks, pinned copies."""

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from zoo.batch import Batch
from zoo.data import create_data
from zoo.data.images import digits
from zoo.data.images._pixel_sources import Pictures, squash

SIDE = 50


def photograph(path, side):
    """A smooth picture in color as a JPEG file."""
    y, x = np.mgrid[:side, :side] / side
    pixels = np.stack([x, y, 0.5 + 0.5 * np.sin(6 * x) * np.cos(4 * y)], 2)
    Image.fromarray((255 * pixels).round().astype(np.uint8)).save(path, quality=95)
    return path


@pytest.mark.parametrize(("side", "decoded"), [(800, 100), (400, 100), (200, 100), (199, 199), (100, 100)])
def test_large_jpeg_files_are_decoded_smaller(tmp_path, monkeypatch, side, decoded):
    """To twice the side that is needed at least: the picture differs by rounding alone, below four times not at all."""
    path = photograph(tmp_path / "a.jpg", side)
    sizes = []
    load = JpegImageFile.load

    def load_and_note(image):
        result = load(image)
        sizes.append(image.size[0])
        return result

    monkeypatch.setattr(JpegImageFile, "load", load_and_note)
    pixels = Pictures((str(path),), SIDE)(0)
    assert min(sizes) == max(sizes) == decoded
    monkeypatch.undo()
    whole = squash(Image.open(path).convert("RGB"), SIDE)
    assert np.abs(pixels.astype(int) - whole).mean() < 1
    assert (side >= 4 * SIDE) or bool((pixels == whole).all())


def test_landmarks_of_digits_are_found_once(monkeypatch):
    one = create_data("digits").splits["test"]

    def again(*_):
        raise AssertionError("the landmarks were computed again")

    monkeypatch.setattr(digits, "landmarks", again)
    other = create_data("digits", size=64, seed=3).splits["test"]
    assert torch.equal(other.visible, one.visible)
    assert torch.allclose(other.points, one.points * 64 / 32)


def test_page_locked_batches_are_copied_while_the_device_computes(monkeypatch):
    """Without a GPU: what is asked of ``Tensor.to`` for tensors that say that they are pinned, and for others."""
    asked = []
    to = torch.Tensor.to

    def noted(tensor, *args, **named):
        asked.append(named.get("non_blocking"))
        return to(tensor, *args, **named)

    batch = Batch(torch.zeros(2, 3), torch.zeros(2).long(), torch.arange(2), weight=torch.ones(2))
    monkeypatch.setattr(torch.Tensor, "to", noted)
    for pinned in (True, False):
        monkeypatch.setattr(torch.Tensor, "is_pinned", lambda _, pinned=pinned: pinned)
        assert batch.to("meta").weight.is_meta
    assert asked == [True] * 4 + [False] * 4
