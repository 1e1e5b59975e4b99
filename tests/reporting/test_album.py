"""Pictures of a page: stored once, read back as they were; heat maps from the formula; the size of a long page."""

import base64
import io
import re
import time

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.evaluation import examples
from zoo.explanation import upsample
from zoo.reporting.album import HEAT, LEVELS, SIDE, Album
from zoo.reporting.page import page
from zoo.training.run import data_of, load_checkpoint


def stored(album):
    """The images of an album as arrays, by id."""
    found = re.findall(r'<image id="(\w+)" [^>]*href="data:image/\w+;base64,([^"]+)"', album.definitions())
    return {name: np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA")) for name, data in found}


def test_a_picture_of_few_pixels_is_stored_as_it_is():
    album, picture = Album(), (torch.rand(3, 9, 7) * 255).round() / 255
    drawn = album.picture(picture, 'a "b"')
    assert 'viewBox="0 0 7 9"' in drawn
    assert 'aria-label="a &#34;b&#34;"' in drawn
    (array,) = stored(album).values()
    assert array[..., :3].tolist() == (picture * 255).round().byte().permute(1, 2, 0).tolist()
    assert 'width="7" height="9" class="crisp"' in album.definitions()


def test_equal_pictures_are_stored_once_and_tensors_that_change_are_not_mixed_up():
    album, picture = Album(), torch.rand(3, 8, 8)
    first = album.picture(picture, "")
    assert album.picture(picture.clone(), "") == first
    picture.mul_(0.5)  # in place, the same memory
    other = album.picture(picture, "")
    assert other != first
    assert len(stored(album)) == 2


def test_photographs_keep_their_shape_and_are_small():
    sample = torch.tensor(pytest.importorskip("sklearn.datasets").load_sample_images().images[0])
    album = Album()
    drawn = album.picture(sample.permute(2, 0, 1)[:, :400, :300] / 255, "a photograph")
    assert 'viewBox="0 0 300 400"' in drawn
    (array,) = stored(album).values()
    assert array.shape == (SIDE, SIDE * 3 // 4, 4)
    assert len(album.definitions()) < 15_000
    small = sample[:400, :300].permute(2, 0, 1)[None] / 255
    expected = torch.nn.functional.interpolate(small, (SIDE, SIDE * 3 // 4), mode="area")[0].permute(1, 2, 0) * 255
    assert np.abs(array[..., :3] - expected.numpy()).mean() < 8, "of 255; a sharper filter, and WebP"


@pytest.mark.parametrize("grid", [(3, 4), (8, 8), (7, 5)])
def test_heat_is_the_upsampled_evidence_in_steps(grid):
    from matplotlib import colormaps

    album, evidence = Album(), torch.randn(*grid, generator=torch.Generator().manual_seed(0))
    album.picture(torch.zeros(3, 32, 32), "x", evidence=evidence, frame=(1, 2, 3, 4))
    heat = [a for a in stored(album).values() if a.shape[:2] != (32, 32)][0]
    level = (evidence.double() - evidence.min()) / (evidence.max() - evidence.min())
    factor = heat.shape[0] // grid[0]
    assert heat.shape[:2] == (grid[0] * factor, grid[1] * factor)
    assert max(heat.shape[:2]) >= 7
    if factor > 1:
        level = upsample(level[None, None], heat.shape[:2])[0, 0].clamp(0, 1)
    for y in range(heat.shape[0]):
        for x in range(heat.shape[1]):
            step = round(float(level[y, x]) * (LEVELS - 1)) / (LEVELS - 1)
            color = [round(255 * c) for c in colormaps["inferno"](0.15 + 0.8 * step)[:3]]
            assert heat[y, x, :3].tolist() == pytest.approx(color, abs=1)
            assert heat[y, x, 3] == pytest.approx(255 * HEAT * step**1.5, abs=1)
    assert heat[..., 3].max() < 0.65 * 255, "the object stays visible"


def test_signed_evidence_has_two_colors_and_none_at_zero():
    album = Album()
    album.picture(torch.zeros(3, 2, 2), "x", evidence=torch.tensor([[1.0, -1.0], [0.0, 0.5]]), signed=True)
    (map_,) = [a for a in stored(album).values() if a[..., 3].min() < 255]
    assert map_[0, 0, 1] > map_[0, 0, 0]
    assert map_[0, 1, 0] > map_[0, 1, 1]
    assert map_[1, 0, 3] == 0
    assert 0 < map_[1, 1, 3] < map_[0, 0, 3]


def test_a_template_is_colored_on_white():
    album = Album()
    album.picture(torch.tensor([[0.0, 1.0]]), "a template")
    (array,) = stored(album).values()
    assert array[0, 0].tolist() == [255, 255, 255, 255]
    assert array[0, 1, 1] > array[0, 1, 0]


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("protopnet-digits", 1.0e6),
        ("cbm-digits", 0.8e6),
        pytest.param("bilinear_mlp-digits", 1.0e6, marks=pytest.mark.slow),
        pytest.param("transformer_program-hist", 0.5e6, marks=pytest.mark.slow),
    ],
)
def test_a_page_of_100_inputs_is_small_and_quick(tmp_path, name, limit):
    model, config = load_checkpoint(name, [])
    data = data_of(config, model)
    batch = data.samples("test", list(range(100)))
    start = time.process_time()
    explained = examples.explain(model, batch.x, batch)
    context = examples.page_context(model, data, explained, title=name, checkpoint=name)
    file = page(tmp_path / "page.html", context)
    seconds = time.process_time() - start
    assert file.stat().st_size < limit
    assert seconds < 12, "of CPU; 2 to 5 on an idle machine"
