import numpy as np
import pytest
import torch
from PIL import Image

from zoo import paths


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def packed_cub():
    path = paths.data() / "cub100" / "cub100_160.npz"
    if not path.is_file():
        pytest.skip(f"{path} is not there; set ZOO_DATA")
    return path


@pytest.fixture
def cub_folder(tmp_path):
    """A CUB_200_2011 of 2 classes x 4 images of 60 x 40 pixels, whose box is (10, 5, 40, 30)."""
    root, n = tmp_path / "CUB_200_2011", 8
    names = [f"00{i // 4 + 1}.Bird_{i // 4}/b_{i}.jpg" for i in range(n)]
    for i, name in enumerate(names):
        (root / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((40, 60, 3), 20 * i, np.uint8)
        Image.fromarray(pixels).save(root / "images" / name)
    (root / "parts").mkdir()
    write = lambda name, lines: (root / name).write_text("\n".join(lines) + "\n")  # noqa: E731
    write("images.txt", [f"{i + 1} {name}" for i, name in enumerate(names)])
    write("classes.txt", ["1 001.Bird_0", "2 002.Bird_1"])
    write("image_class_labels.txt", [f"{i + 1} {i // 4 + 1}" for i in range(n)])
    write("train_test_split.txt", [f"{i + 1} {int(i % 4 < 2)}" for i in range(n)])
    write("bounding_boxes.txt", [f"{i + 1} 10.0 5.0 40.0 30.0" for i in range(n)])
    part = [f"{i + 1} {p + 1} {15.7 + p} {9.2 + p} {int(p != 3)}" for i in range(n) for p in range(15)]
    write("parts/part_locs.txt", part)
    return root


@pytest.fixture
def user_folder(tmp_path):
    """Two classes of ten images, 20 wide and 10 high, and a CSV with an eye at (5, 5) of each."""
    root = tmp_path / "mine"
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for i in range(10):
            Image.new("RGB", (20, 10), (i, 2 * i, 90)).save(root / name / f"{i}.png")
    lines = [f"{name}/{i}.png,eye,5,5" for name in ("cat", "dog") for i in range(10)]
    (tmp_path / "points.csv").write_text("\n".join(["file,part,x,y", *lines, "cat/0.png,tail,18,1"]) + "\n")
    return root, tmp_path / "points.csv"
