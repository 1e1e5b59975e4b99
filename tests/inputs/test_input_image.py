"""Images as inputs: normalization, folders and lists, labels by name, saved and loaded."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as tv

from zoo.inputs import base
from zoo.inputs.image import ImageInputs

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (3, 30, 20, 3)).astype(np.uint8)
INPUTS = ImageInputs(size=16, class_names=("robin", "wren"), part_names=("beak", "wing"))


def folder(tmp_path, *names):
    for i, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS[i % 3]).save(tmp_path / name)
    return tmp_path


def test_pixels_as_torchvision_has_them():
    x = INPUTS.read(PIXELS[0]).x
    image = Image.fromarray(PIXELS[0]).resize((16, 16), Image.Resampling.BILINEAR)
    expected = tv.normalize(tv.to_tensor(image), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    torch.testing.assert_close(x[0], expected)
    torch.testing.assert_close(INPUTS.show(x)[0], tv.to_tensor(image))


def test_one_channel():
    inputs = ImageInputs(size=16, channels=1, mean=[0.5], std=[0.25])
    image = Image.fromarray(PIXELS[0]).resize((16, 16), Image.Resampling.BILINEAR)
    torch.testing.assert_close(inputs.read(PIXELS[0]).x[0], (tv.to_tensor(image).mean(0, keepdim=True) - 0.5) / 0.25)
    assert inputs.show(inputs.read(PIXELS[0]).x).shape == (1, 3, 16, 16)


def test_gray_pictures_have_three_equal_channels():
    x = INPUTS.show(INPUTS.read(PIXELS[0, ..., 0]).x)
    torch.testing.assert_close(x[:, 0], x[:, 2])
    color = INPUTS.read(np.repeat(PIXELS[0, ..., :1], 3, 2)).x
    torch.testing.assert_close(INPUTS.read(PIXELS[0, ..., 0]).x, color)


def test_crop():
    inputs = ImageInputs(size=20, fit="crop")
    assert np.array_equal(inputs.pixels(PIXELS[0]), PIXELS[0, 5:25])


@pytest.mark.parametrize("kind", ["path", "pil", "array", "tensor"])
def test_sources_are_equal(tmp_path, kind):
    path = folder(tmp_path, "a.png") / "a.png"
    source = {
        "path": path,
        "pil": Image.fromarray(PIXELS[0]),
        "array": PIXELS[0],
        "tensor": torch.from_numpy(PIXELS[0]).permute(2, 0, 1),
    }[kind]
    expected = INPUTS.read(PIXELS[0]).x
    assert INPUTS.read(source).x.equal(expected)
    assert INPUTS.read([source, source]).x.equal(expected.repeat(2, 1, 1, 1))


def test_a_stack_is_a_list():
    assert INPUTS.read(PIXELS).x.equal(INPUTS.read(list(PIXELS)).x)


def test_folder_of_classes(tmp_path):
    root = folder(tmp_path, "wren/1.png", "robin/2.png", "wren/3.png")
    batch = INPUTS.read(root)
    assert batch.y.tolist() == [0, 1, 1]
    reading = next(INPUTS.scan(root))
    assert reading.rows == ("robin/2.png", "wren/1.png", "wren/3.png")
    assert INPUTS.read(root, labels=False).y is None
    (root / "robin").rename(root / "Robin")
    with pytest.raises(ValueError, match=r"missing 'robin'; additional 'Robin'"):
        INPUTS.read(root)
    with pytest.raises(ValueError, match=r"perhaps renamed: 'robin' to 'Robin'"):
        INPUTS.check(root)
    assert len(INPUTS.read(root, labels=False).x) == 3


def test_folder_without_classes(tmp_path):
    root = folder(tmp_path, "b.png", "a.png", "x/c.png")
    (root / "notes.txt").write_text("x")
    with pytest.warns(UserWarning, match="1 files that are no images were ignored: notes.txt"):
        batch = INPUTS.read(root)
    assert batch.y is None
    assert next(INPUTS.scan(root)).rows == ("a.png", "b.png", "x/c.png")
    with pytest.raises(ValueError, match="have no labels"):
        INPUTS.read(PIXELS[0], labels=True)
    with pytest.raises(ValueError, match=r"missing 'robin', 'wren'; additional 'x'"):
        INPUTS.read(root, labels=True)
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="has no image"):
        INPUTS.read(tmp_path / "none")


def test_pictures_that_cannot_be_read(tmp_path):
    root = folder(tmp_path, "1.png", "3.png")
    (root / "2.png").write_bytes(b"x")
    with pytest.raises(ValueError, match="2.png cannot be read as a picture"):
        INPUTS.read(root)
    reading = base.concatenate(list(INPUTS.scan(root, skip=True)))
    assert reading.rows == ("1.png", "3.png")
    assert reading.position.tolist() == [0, 2]
    assert [flag.row for flag in reading.skipped] == ["2.png"]


def test_many_pictures_come_in_pieces():
    readings = list(INPUTS.scan([PIXELS[0]] * 130))
    assert [len(reading) for reading in readings] == [64, 64, 2]
    assert base.concatenate(readings).position.tolist() == list(range(130))


def test_parts_by_name():
    assert INPUTS.order_of(["wing", "beak"]) == [1, 0]
    with pytest.raises(ValueError, match="perhaps renamed: 'wing' to 'wings'"):
        INPUTS.order_of(["beak", "wings"])


def test_saved_and_loaded(tmp_path):
    inputs = ImageInputs(size=9, background=(1, 2, 3), value_range=(0, 4095), class_names=("${x}", "???"), fit="crop")
    base.save(inputs, tmp_path)
    loaded = base.load(tmp_path)
    assert loaded.to_config() == inputs.to_config()
    assert loaded.class_names == ("${x}", "???")
    assert loaded.read(PIXELS[0]).x.equal(inputs.read(PIXELS[0]).x)
    assert loaded.describe() == inputs.describe()


def test_fit_on_a_folder(tmp_path):
    root = folder(tmp_path, *(f"{name}/{i}.png" for name in "ab" for i in range(3)))
    assert ImageInputs.fit(root, size=4).class_names == ("a", "b")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "data.size is 0"),
        ({"channels": 2}, "data.channels is 2"),
        ({"std": [1, 1, 0]}, "std above 0"),
        ({"mean": [0.5]}, "expected 3 numbers each"),
        ({"background": (0, 0, 256)}, "data.background"),
        ({"value_range": (1, 1)}, "two rising numbers"),
        ({"fit": "stretch"}, "data.fit is 'stretch'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ImageInputs(**{"size": 4, **arguments})
    with pytest.raises(ValueError, match="images are described by"):
        ImageInputs.from_config({"size": 4, "colour": 3})
