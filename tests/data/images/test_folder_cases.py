"""Folders as people have them: orientation, bits, transparency, junk, names of splits, Unicode forms, other models."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.data import create_data
from zoo.inputs.image import ImageInputs

CASES = Path(__file__).parents[2] / "cases"
GENERATOR = np.random.default_rng(0)
GRAY = GENERATOR.uniform(0, 1, (12, 24, 24))


def write(root, save, names=("healthy", "ill"), extension="png"):
    for i, gray in enumerate(GRAY):
        path = root / names[i % 2] / f"{i:02d}.{extension}"
        path.parent.mkdir(parents=True, exist_ok=True)
        save(gray, path)
    return str(root)


def eight(gray, path):
    Image.fromarray((gray * 255).astype(np.uint8)).save(path)


def sixteen(gray, path):
    Image.fromarray((gray * 65535).astype(np.uint16)).save(path)


def transparent(gray, path):
    alpha = ((gray > 0.5) * 255).astype(np.uint8)
    Image.fromarray(np.dstack([np.full((24, 24, 3), 40, np.uint8), alpha])).save(path)


def images(root, **arguments):
    data = create_data("folder", root=root, size=24, augment="none", val=0, **arguments)
    batches = [next(iter(data.loader(split, batch_size=99))) for split in ("train", "test")]
    return {
        name: x
        for split, b in zip(("train", "test"), batches, strict=True)
        for name, x in zip(data.splits[split].names, data.to_image(b.x), strict=True)
    }


def test_16_bits_are_the_same_pictures_as_8(tmp_path):
    one, two = images(write(tmp_path / "d8", eight)), images(write(tmp_path / "d16", sixteen))
    assert one.keys() == two.keys()
    assert max(float((one[name] - two[name]).abs().max()) for name in one) <= 1.01 / 255


def test_transparent_pixels_show_the_background(tmp_path):
    root = write(tmp_path / "rgba", transparent)
    for background, value in (([255, 255, 255], 1.0), ([0, 0, 0], 0.0)):
        shown = images(root, background=background)["healthy/00.png"]
        expected = torch.from_numpy(np.where(GRAY[0] > 0.5, 40 / 255, value)).float()
        torch.testing.assert_close(shown, expected.expand(3, -1, -1), atol=1e-3, rtol=0)


def test_dark_16_bits_are_refused_until_declared(tmp_path):
    root = write(tmp_path / "d12", lambda gray, path: Image.fromarray((gray * 4095).astype(np.uint16)).save(path))
    with pytest.raises(ValueError, match="of 16 bits and its largest value is .*declare data.value_range"):
        images(root)
    declared, plain = images(root, value_range=[0, 4095]), images(write(tmp_path / "d8", eight))
    assert max(float((declared[name] - plain[name]).abs().max()) for name in plain) <= 1.01 / 255


def test_keypoints_lie_where_people_see_them():
    """All portraits are 80 x 120 as people see them; the beak is at (60, 20), which is (30, 6.67) in 40 x 40 pixels."""
    data = create_data(
        "folder",
        root=str(CASES / "exif" / "ex"),
        keypoints=str(CASES / "exif" / "ex.csv"),
        size=40,
        augment="none",
        val=0,
    )
    for split in ("train", "test"):
        batch = next(iter(data.loader(split, batch_size=99)))
        torch.testing.assert_close(batch.points[:, 0], torch.tensor([30.0, 20 / 3]).double().expand(len(batch), 2))
        assert batch.visible.all()
        spot = data.to_image(batch.x)[:, :, 6, 30]  # the color of the beak, stored upright or on its side
        for label in (0, 1):
            of_class = spot[batch.y == label]
            assert float((of_class - of_class[0]).abs().max()) < 0.1


def test_junk_is_no_class_and_no_sample(tmp_path):
    root = Path(write(tmp_path / "d", eight))
    for name in (".ipynb_checkpoints", "__MACOSX"):
        (root / name).mkdir()
        (root / name / "x.png").write_bytes((root / "ill" / "01.png").read_bytes())
    (root / "ill" / "._01.png").write_bytes(b"x")
    (root / "ill" / "Thumbs.db").write_bytes(b"x")
    assert create_data("folder", root=str(root), size=24).class_names == ("healthy", "ill")
    assert len(images(str(root))) == 12


@pytest.mark.parametrize(("train", "test"), [("Train", "Test"), ("training", "TESTING")])
def test_names_of_splits(tmp_path, train, test):
    for name in (train, test):
        write(tmp_path / name, eight)
    data = create_data("folder", root=str(tmp_path), size=24)
    with pytest.warns(UserWarning, match="12 images are byte-identical to one in another split"):
        data.setup()
    assert data.class_names == ("healthy", "ill")
    assert len(data.splits["test"]) == 12


def test_other_extensions_and_unicode_forms(tmp_path):
    root = Path(write(tmp_path / "d", eight, names=("Cafe\u0301", "ill"), extension="jfif"))
    table = tmp_path / "c.csv"
    table.write_text("file,wild\n" + "".join(f"Caf\u00e9/{i:02d}.jfif,{i % 4 // 2}\n" for i in range(0, 12, 2)))
    data = create_data("folder", root=str(root), size=24, concepts_file=str(table), val=0)
    known = {
        name: float(value)
        for split in data.splits.values()
        for name, value in zip(split.names, split.concepts[:, 0], strict=True)
        if not value.isnan()
    }
    assert known == {f"Caf\u00e9/{i:02d}.jfif": i % 4 // 2 for i in range(0, 12, 2)}


def test_a_trained_model_reads_by_name(tmp_path):
    root = write(tmp_path / "d", eight)
    model = ImageInputs(size=10, mean=[0.1] * 3, std=[0.5] * 3, class_names=("ill", "healthy"))
    data = create_data("folder", root=root, size=24, val=0)
    data.use_inputs(model)
    batch = next(iter(data.loader("test", batch_size=99)))
    assert batch.x.shape[1:] == (3, 10, 10)
    assert [data.class_names[c] for c in batch.y] == [name.split("/")[0] for name in data.splits["test"].names]
    assert data.class_names == ("ill", "healthy")
    file = Path(root) / data.splits["test"].names[0]
    torch.testing.assert_close(data.read_input(str(file)), batch.x[0])
    renamed = create_data("folder", root=root, size=24)
    renamed.use_inputs(ImageInputs(size=10, class_names=("sick", "healthy")))
    with pytest.raises(ValueError, match="perhaps renamed: 'sick' to 'ill'"):
        renamed.setup()
    digits = create_data("digits", size=16)
    digits.use_inputs(ImageInputs(size=16, class_names=("ill", "healthy")))
    with pytest.raises(ValueError, match="the classes are not the model's"):
        next(iter(digits.loader("test")))


def test_a_stray_code_of_a_concept_is_named():
    data = create_data("table", file=str(CASES / "csv" / "y2.csv"), target="state", concept_columns=["fever"])
    with pytest.raises(ValueError, match=r"y2.csv, line 2, column 'fever': '2' where most cells are 0 or 1; correct"):
        data.setup()
    data = create_data(
        "table",
        file=str(CASES / "csv" / "y2.csv"),
        target="state",
        concept_columns=["fever"],
        concept_kinds={"fever": "continuous"},
    )
    data.setup()
    assert data.concepts.concepts[0].kind == "continuous"


def test_concepts_named_like_words_of_yaml():
    data = create_data("table", file=str(CASES / "csv" / "no.csv"), target="state", concept_columns=["NO", "NO2"])
    assert data.concept_names == ("NO", "NO2")
    data = create_data("table", file=str(CASES / "csv" / "no.csv"), target="state", concept_columns=["False", "NO2"])
    with pytest.raises(ValueError, match=r"YAML reads an unquoted NO as False; quote it, as in '\[\"NO\"\]'"):
        data.setup()
