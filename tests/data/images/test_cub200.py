import numpy as np
import pytest
import torch

from zoo.data import create_data


def small(root, **args):
    return create_data("cub200", root=str(root), size=80, val=0.0, augment="none", **args)


def test_box_protocol_of_the_folder(cub_folder):
    data = small(cub_folder)
    assert data.class_names == ("Bird 0", "Bird 1")
    assert data.concept_names == ()
    assert [len(data.splits[s]) for s in ("train", "val", "test")] == [4, 0, 4]
    batch = next(iter(data.loader("test")))
    assert batch.x.shape == (4, 3, 80, 80)
    assert batch.visible[0].tolist() == [p != 3 for p in range(15)]
    expected = [[80 * ((15 + p) - 10) / 40, 80 * ((9 + p) - 5) / 30] for p in range(15)]
    assert torch.allclose(batch.points[0], torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)
    assert data.name_of("test", 0) == "001.Bird_0/b_2.jpg"


def test_full_protocol_of_the_folder(cub_folder):
    batch = next(iter(small(cub_folder, crop="full").loader("test")))
    expected = torch.tensor([[80 * 15.7 / 60, 80 * 9.2 / 40]], dtype=torch.float64)
    assert torch.allclose(batch.points[0, :1], expected)


def test_concepts_of_the_folder(cub_folder):
    (cub_folder / "attributes").mkdir()
    (cub_folder / "attributes.txt").write_text("".join(f"{i + 1} a::{i}\n" for i in range(312)))
    rows = [" ".join(str(v) for v in row) for row in np.stack([np.arange(312) % 100, np.full(312, 50)])]
    (cub_folder / "attributes" / "class_attribute_labels_continuous.txt").write_text("\n".join(rows) + "\n")
    data = small(cub_folder)
    assert len(data.concept_names) == 112
    split = data.splits["test"]
    assert split.concepts[split.y == 1].min() == 1
    assert split.concepts[0, data.concept_names.index("a::53")] == 1
    assert split.concepts[0, data.concept_names.index("a::101")] == 0


def replace(root, name, line, text):
    lines = (root / name).read_text().splitlines()
    lines[line - 1] = text
    (root / name).write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("name", "line", "text", "words"),
    [
        ("bounding_boxes.txt", 3, "3 10.0 5.0 0.0 30.0", "bounding_boxes.txt, line 3"),
        ("bounding_boxes.txt", 3, "3 10.0 5.0 30.0", "bounding_boxes.txt, line 3: 4 columns where 5"),
        ("parts/part_locs.txt", 20, "2 5 nan 9.0 1", "part_locs.txt, line 20"),
        ("parts/part_locs.txt", 20, "2 5 -4.0 9.0 1", "part_locs.txt, line 20: negative"),
        ("parts/part_locs.txt", 20, "2 5 x 9.0 1", "part_locs.txt, line 20: '2 5 x 9.0 1'; expected numbers only"),
        ("image_class_labels.txt", 2, "3 1", "image_class_labels.txt must have one line"),
        ("image_class_labels.txt", 2, "2 7", "labels up to 6; there are only 2 classes"),
        ("images.txt", 3, "3 001.Bird_0/gone.jpg", "gone.jpg cannot be read as an image"),
    ],
)
def test_bad_rows_are_named(cub_folder, name, line, text, words):
    replace(cub_folder, name, line, text)
    with pytest.raises(ValueError, match=words):
        next(iter(small(cub_folder).loader("test")))


def test_broken_and_missing_files(cub_folder, tmp_path):
    (cub_folder / "images" / "001.Bird_0" / "b_2.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="b_2.jpg cannot be read as an image"):
        next(iter(small(cub_folder).loader("test")))
    (cub_folder / "parts" / "part_locs.txt").unlink()
    with pytest.raises(ValueError, match="part_locs.txt is missing"):
        small(cub_folder).setup()
    nothing = create_data("cub200", root=str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="no CUB-200-2011 data"):
        nothing.setup()
    with pytest.raises(ValueError, match="data.crop is 'boxx'"):
        create_data("cub200", crop="boxx")


def test_class_without_an_image(cub_folder):
    lines = [f"{i + 1} {int(i < 4)}" for i in range(8)]
    (cub_folder / "train_test_split.txt").write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match="class 'Bird 1' has no sample in train"):
        small(cub_folder).setup()


def test_damaged_packed_file(tmp_path):
    file = tmp_path / "birds.npz"
    file.write_bytes(b"no zip at all")
    with pytest.raises(ValueError, match="birds.npz is damaged or not an npz file"):
        create_data("cub200", root=str(file)).setup()
    np.savez(file, label=np.zeros(3))
    with pytest.raises(ValueError, match="birds.npz has no array"):
        create_data("cub200", root=str(file)).setup()


def test_fingerprint_follows_boxes_and_files(cub_folder):
    before = small(cub_folder).fingerprint()
    assert small(cub_folder).fingerprint() == before
    (cub_folder / "images" / "001.Bird_0" / "b_2.jpg").open("ab").write(b"x")
    after = small(cub_folder).fingerprint()
    assert after != before
    replace(cub_folder, "bounding_boxes.txt", 3, "3 10.0 5.0 40.0 29.0")
    assert small(cub_folder).fingerprint() not in (before, after)


def test_packed_form(packed_cub):
    data = create_data("cub200", source="packed", size=224, limit=100, augment="none", mean=[0.5] * 3, std=[0.5] * 3)
    assert data.num_classes == 100
    assert (len(data.part_names), len(data.concept_names)) == (15, 112)
    assert data.mean == (0.5, 0.5, 0.5)
    batch = next(iter(data.loader("test", batch_size=8)))
    assert batch.x.abs().max() <= 1
    with np.load(packed_cub) as file:
        names, visible, boxes = file["filename"], file["visible"], file["bbox"].astype(np.float64)
        shares, concepts = file["keypoints"].astype(np.float64), file["cbm112"]
        assert data.concept_names == tuple(file["attribute_names"][concepts])
        assert tuple(p for p in data.part_names) == tuple(file["part_names"])
    row = names.tolist().index(data.name_of("test", 5).encode())
    whole = (shares[row] * boxes[row, 2:]).round()  # the protocol: whole pixels of the box, then int(size * ratio)
    expected = (224 * (whole / boxes[row, 2:])).astype(int)
    assert batch.points[5].long()[batch.visible[5]].tolist() == expected[visible[row]].tolist()
    with pytest.raises(ValueError, match="holds box crops only"):
        create_data("cub200", source="packed", crop="full").setup()
