"""Class folders as people have them: junk, names of splits, extensions, links, Unicode forms, identical files."""

import os

import numpy as np
import pytest
from PIL import Image

from zoo.inputs.images.class_folders import find_splits, is_junk, list_pictures, name_key, read_class_folders, split_of

COUNT = iter(range(10**9))


def picture(path, value=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    value = next(COUNT) if value is None else value
    pixels = np.full((4, 4, 3), 0, np.uint8)
    pixels[0, 0] = [value % 256, value // 256 % 256, 7]
    Image.fromarray(pixels).save(path, "PNG")
    return path


def make(root, *names, count=3):
    for name in names:
        for i in range(count):
            picture(root / name / f"{i}.png")


def test_classes_and_junk(tmp_path):
    make(tmp_path, "robin", "wren/deeper", ".ipynb_checkpoints", "__MACOSX", "@eaDir")
    picture(tmp_path / "robin" / "._0.png")
    picture(tmp_path / "robin" / ".ipynb_checkpoints" / "0-checkpoint.png")
    (tmp_path / "robin" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "wren" / "desktop.ini").write_bytes(b"x")
    (tmp_path / "robin" / "notes.txt").write_text("x")
    (tmp_path / "readme.txt").write_text("x")
    result = read_class_folders(tmp_path)
    assert result.class_names == ("robin", "wren")
    assert [(p.name, p.label) for p in result.splits["all"]] == [
        ("robin/0.png", 0),
        ("robin/1.png", 0),
        ("robin/2.png", 0),
        ("wren/deeper/0.png", 1),
        ("wren/deeper/1.png", 1),
        ("wren/deeper/2.png", 1),
    ]
    assert result.notes == (f"{tmp_path}: 1 files that are no images were ignored: notes.txt",)


@pytest.mark.parametrize(
    "names",
    [
        ("train", "test"),
        ("Train", "TEST", "valid"),
        ("training", "testing", "Validation"),
        ("TRAIN", "Test", "val"),
        ("train", "tst", "dev"),
    ],
)
def test_names_of_splits(tmp_path, names):
    for name in names:
        make(tmp_path / name, "robin", "wren")
    result = read_class_folders(tmp_path)
    assert result.class_names == ("robin", "wren")
    assert (
        set(result.splits) == {split_of(name) for name in names} == {"train", "test", "val"}
        if names[2:]
        else {"train", "test"}
    )
    assert all(len(pictures) == 6 for pictures in result.splits.values())


def test_names_that_are_no_splits(tmp_path):
    assert split_of("trained") is None
    make(tmp_path, "test", "robin")  # without a folder for training these are classes
    assert find_splits(tmp_path) == {}
    assert read_class_folders(tmp_path).class_names == ("robin", "test")
    make(tmp_path / "train", "robin")
    make(tmp_path / "test", "robin")
    (tmp_path / "robin").rename(tmp_path / "extra")
    for i in range(3):
        (tmp_path / "test" / f"{i}.png").unlink()
    assert read_class_folders(tmp_path).notes == (f"{tmp_path}: folders that are no split were ignored: extra",)
    make(tmp_path / "Training", "robin")
    with pytest.raises(ValueError, match="has Training and train, both for train; keep one"):
        read_class_folders(tmp_path)


def test_every_readable_extension(tmp_path):
    image = Image.fromarray(np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "a").mkdir()
    for name, kind in (
        ("x.jfif", "JPEG"),
        ("x.JPG", "JPEG"),
        ("x.jpe", "JPEG"),
        ("x.avif", "AVIF"),
        ("x.tga", "TGA"),
        ("x.webp", "WEBP"),
        ("x.ppm", "PPM"),
        ("x.jp2", "JPEG2000"),
    ):
        image.save(tmp_path / "a" / name, kind)
    assert len(list_pictures(tmp_path)[0]) == 8


def test_too_few_pictures_are_refused_before_training(tmp_path):
    make(tmp_path, "robin")
    make(tmp_path, "wren", count=2)
    with pytest.raises(ValueError, match="class 'wren' has 2 images in .*; expected 3 or more to hold out a fifth"):
        read_class_folders(tmp_path)
    (tmp_path / "empty").mkdir()
    picture(tmp_path / "wren" / "9.png")
    with pytest.raises(ValueError, match="class 'empty' has no image"):
        read_class_folders(tmp_path)
    with pytest.raises(ValueError, match="is no folder"):
        read_class_folders(tmp_path / "no")
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="has no class folders; expected"):
        read_class_folders(tmp_path / "none")


def test_identical_files_in_two_splits(tmp_path):
    for i in range(4):
        picture(tmp_path / "train" / "robin" / f"{i}.png", 1000 + i)
        picture(tmp_path / "test" / "robin" / f"{i}.png", 2000 + i)
    picture(tmp_path / "test" / "robin" / "copy.png", 1002)
    picture(tmp_path / "train" / "robin" / "twin.png", 1001)  # within a split: no leak
    (note,) = read_class_folders(tmp_path).notes
    assert note.startswith("1 images are byte-identical to one in another split (train/robin/2.png and")
    assert "test/robin/copy.png" in note
    assert read_class_folders(tmp_path, identical=False).notes == ()


def test_classes_of_a_model(tmp_path):
    make(tmp_path, "robin", "wren")
    assert read_class_folders(tmp_path, class_names=("wren", "robin")).class_names == ("wren", "robin")
    assert {p.label for p in read_class_folders(tmp_path, class_names=("wren", "robin")).splits["all"][:3]} == {0}
    with pytest.raises(ValueError, match=r"missing 'Robin'; additional 'robin'; perhaps renamed: 'Robin' to 'robin'"):
        read_class_folders(tmp_path, class_names=("wren", "Robin"))
    assert len(read_class_folders(tmp_path, class_names=("a", "robin", "wren")).splits["all"]) == 6
    with pytest.raises(ValueError, match=r"missing 'a'\)"):
        read_class_folders(tmp_path, class_names=("a", "robin", "wren"), partial=False)


def test_classes_of_the_other_splits(tmp_path):
    make(tmp_path / "train", "robin", "wren")
    make(tmp_path / "test", "robin", "wrenn")
    with pytest.raises(ValueError, match=r"test: the classes are not the model's \(missing 'wren'; additional 'wrenn'"):
        read_class_folders(tmp_path)


def test_unicode_forms(tmp_path):
    make(tmp_path, "Cafe\u0301", "b")
    assert read_class_folders(tmp_path).class_names == ("Caf\u00e9", "b")
    assert read_class_folders(tmp_path).splits["all"][0].name == "Caf\u00e9/0.png"
    assert name_key("Cafe\u0301/0.png") == name_key("./Caf\u00e9//0.png") == "Caf\u00e9/0.png"
    assert read_class_folders(tmp_path, class_names=("b", "Cafe\u0301")).splits["all"][0].label == 0
    make(tmp_path, "Caf\u00e9")
    with pytest.raises(ValueError, match="differ in Unicode form alone; merge them"):
        read_class_folders(tmp_path)


def test_links(tmp_path):
    make(tmp_path / "elsewhere", "r")
    root = tmp_path / "root"
    make(root, "wren")
    os.symlink(tmp_path / "elsewhere" / "r", root / "robin")
    os.symlink(root, root / "wren" / "loop")
    result = read_class_folders(root)
    assert result.class_names == ("robin", "wren")
    assert sum(p.label == 0 for p in result.splits["all"]) == 3


def test_hidden_names():
    assert all(map(is_junk, (".git", "._a.jpg", "Thumbs.db", "THUMBS.DB", "__MACOSX", "~$x.png", "Icon\r")))
    assert not any(map(is_junk, ("a.jpg", "_a.jpg", "macosx", "thumbs")))
