import shutil

import pytest
import torch
from PIL import Image

from zoo.data import create_data


def small(root, points=None, **args):
    return create_data("folder", root=str(root), keypoints=points and str(points), size=40, **args)


def test_classes_and_points(user_folder):
    data = small(*user_folder)
    assert data.class_names == ("cat", "dog")
    assert data.part_names == ("eye", "tail")
    assert [len(data.splits[s]) for s in ("train", "val", "test")] == [14, 2, 4]
    assert [s.y.bincount().tolist() for s in data.splits.values()] == [[7, 7], [2, 2], [1, 1]]
    batch = next(iter(data.loader("train")))
    assert batch.points[0, 0].tolist() == [5 * 40 / 20, 5 * 40 / 10]
    assert batch.visible[:, 0].all()
    plain = small(user_folder[0])
    assert next(iter(plain.loader("test"))).points is None
    assert next(iter(plain.train_dataloader())).x.shape == (14, 3, 40, 40)
    assert plain.fingerprint() != data.fingerprint()


def test_held_out_test_split_stays_when_the_seed_changes(user_folder):
    data, other = (small(user_folder[0], seed=seed) for seed in (0, 1))
    assert data.splits["test"].names == other.splits["test"].names
    assert data.splits["val"].names != other.splits["val"].names


def test_fingerprint_reads_the_files(user_folder):
    root, _ = user_folder
    before, picture = small(root).fingerprint(), root / "cat" / "3.png"
    assert small(root).fingerprint() == before
    changed = bytearray(picture.read_bytes())
    changed[-20] ^= 1  # one bit, the same size
    picture.write_bytes(changed)
    assert small(root).fingerprint() != before
    data = small(root)
    data.setup()
    picture.unlink()
    with pytest.raises(ValueError, match="3.png cannot be read"):
        data.fingerprint()


def test_given_division(user_folder):
    root, _ = user_folder
    top = root.parent / "divided"
    for name in ("train", "val", "test"):
        shutil.copytree(root, top / name)
    data = small(top)
    assert [len(data.splits[s]) for s in ("train", "val", "test")] == [20, 20, 20]
    assert data.name_of("val", 0) == "val/cat/0.png"
    shutil.rmtree(top / "test")
    with pytest.raises(ValueError, match="has train but no test"):
        small(top).setup()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            "cat/1.png,tail,25,1",
            r"points.csv, line 23: tail at \(25.0, 1.0\) is outside cat/1.png, which is \(20, 10\)",
        ),
        ("cat/1.png,tail,nan,1", "points.csv, line 23: x is 'nan', not a number"),
        ("cat/1.png,tail,2,", "points.csv, line 23: y is '', not a number"),
        ("cat/1.png,tail,2,inf", "points.csv, line 23: y is 'inf', not a number"),
        ("cat/77.png,tail,2,2", "points.csv, line 23: there is no image .*cat/77.png"),
        ("cat/1.png,tail,2", "points.csv, line 23: 3 cells where the header has 4"),
        ("cat/1.png,tail,2,2,1", "points.csv, line 23: 5 cells where the header has 4"),
        ("cat/1.png,,2,2", "points.csv, line 23: part is empty"),
        ("cat/1.png,eye,2,2", "points.csv, line 23: 'eye' of cat/1.png is already in line 3"),
        ("./cat/1.png,eye,2,2", "points.csv, line 23: 'eye' of cat/1.png is already in line 3"),
        ("\n,,,\ncat/1.png,tail,2,", "points.csv, line 25: y is '', not a number"),
        (f"cat/1.png,tail,2,{'9' * 200_000}", "points.csv, line 23: field larger than"),
    ],
)
def test_bad_rows_are_named(user_folder, row, words):
    root, points = user_folder
    points.write_text(points.read_text() + row + "\n")
    with pytest.raises(ValueError, match=words):
        small(root, points).setup()


def test_a_part_that_is_not_visible_needs_no_place(user_folder):
    root, points = user_folder
    rows = ["file,part,x,y,visible", "cat/0.png,eye,,,0", "cat/1.png,eye,3,4,", "./cat/2.png, eye,3,4,1"]
    points.write_text("\n".join(rows) + "\n")
    splits = small(root, points).splits.values()
    with_part = {name for s in splits for name, v in zip(s.names, s.visible[:, 0].tolist(), strict=True) if v}
    assert with_part == {"cat/1.png", "cat/2.png"}
    points.write_text("\n".join([*rows, "cat/3.png,eye,nan,nan,0"]) + "\n")
    with pytest.raises(ValueError, match="line 5: x is 'nan'"):
        small(root, points).setup()
    points.write_text("\n".join([*rows, "cat/3.png,eye,,,1"]) + "\n")
    with pytest.raises(ValueError, match="line 5: x is ''"):
        small(root, points).setup()


def test_bad_tables_are_named(user_folder):
    root, points = user_folder
    whole = points.read_bytes()
    points.write_bytes(b"\xef\xbb\xbf" + whole.replace(b"\n", b"\r\n"))
    assert small(root, points).part_names == ("eye", "tail")
    points.write_bytes(whole.replace(b"dog/3.png,eye", b"dog/3.png,\xe9il"))
    with pytest.raises(ValueError, match="points.csv, line 15: not utf-8 text"):
        small(root, points).setup()
    points.write_text("file,part,x,y\n\n")
    with pytest.raises(ValueError, match="points.csv has a header but no rows"):
        small(root, points).setup()
    points.write_text("")
    with pytest.raises(ValueError, match="points.csv is empty; expected a header"):
        small(root, points).setup()


def test_bad_files_are_named(user_folder):
    root, points = user_folder
    points.write_text(points.read_text().replace("file,part,x,y", "file,part,x,why"))
    with pytest.raises(ValueError, match="has no column 'y'"):
        small(root, points).setup()
    with pytest.raises(ValueError, match="gone.csv is missing"):
        small(root, root / "gone.csv").setup()
    (root / "cat" / "3.png").write_text("no picture")
    with pytest.raises(ValueError, match="3.png cannot be read as a picture"):
        [list(small(root).loader(split)) for split in ("train", "val", "test")]
    (root / "eel").mkdir()
    with pytest.raises(ValueError, match="class 'eel' has no image"):
        small(root).setup()
    with pytest.raises(ValueError, match="has no class folders"):
        small(root / "cat").setup()


def test_gray_and_transparent_images_become_rgb(user_folder):
    root, _ = user_folder
    Image.new("L", (9, 9), 128).save(root / "cat" / "0.png")
    Image.new("RGBA", (9, 9), (128, 128, 128, 255)).save(root / "cat" / "1.png")
    data = small(root, mean=[0.0] * 3, std=[1.0] * 3)
    x = torch.cat([b.x for s in ("train", "val", "test") for b in data.loader(s)])
    assert (x - 128 / 255).abs().flatten(1).max(1).values.lt(1e-6).sum() == 2
