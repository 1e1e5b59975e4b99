import pickle

import numpy as np
import pytest
import torch
from torchvision import datasets

from zoo.data import create_data

RNG = np.random.default_rng(0)


def write_packed(root, name):
    (root / name).mkdir()
    arrays = {f"x_{s}": RNG.integers(0, 255, (n, 28, 28), np.uint8) for s, n in (("train", 100), ("test", 20))}
    labels = {f"y_{s}": (np.arange(n) % 10).astype(np.uint8) for s, n in (("train", 100), ("test", 20))}
    np.savez(root / name / f"{name}.npz", **arrays, **labels)
    return arrays


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_packed_form(tmp_path, name):
    arrays = write_packed(tmp_path, name)
    data = create_data(name, root=str(tmp_path), size=28, augment="none")
    assert [len(data.splits[s]) for s in ("train", "val", "test")] == [90, 10, 20]
    batch = next(iter(data.loader("test")))
    assert batch.x.shape == (20, 3, 28, 28)
    pixels = (data.to_image(batch.x)[:, 1] * 255).round().byte()
    assert torch.equal(pixels, torch.from_numpy(arrays["x_test"]))


def idx(array):
    head = [0, 0, 8, array.ndim, *b"".join(int(n).to_bytes(4, "big") for n in array.shape)]
    return bytes(head) + array.tobytes()


def test_torchvision_layout(tmp_path, monkeypatch):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for half, n in (("train", 100), ("t10k", 20)):
        (raw / f"{half}-images-idx3-ubyte").write_bytes(idx(RNG.integers(0, 255, (n, 28, 28), np.uint8)))
        (raw / f"{half}-labels-idx1-ubyte").write_bytes(idx((np.arange(n) % 10).astype(np.uint8)))
    data = create_data("mnist", root=str(tmp_path))
    assert next(iter(data.train_dataloader())).x.shape == (90, 3, 32, 32)

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    monkeypatch.setattr(datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(datasets.CIFAR10, "_load_meta", lambda self: None)
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        content = {"data": RNG.integers(0, 255, (20, 3072), np.uint8), "labels": [i % 10 for i in range(20)]}
        (folder / name).write_bytes(pickle.dumps(content))
    data = create_data("cifar10", root=str(tmp_path), augment="flip")
    assert next(iter(data.train_dataloader())).x.shape == (90, 3, 32, 32)


@pytest.mark.parametrize(
    ("labels", "end", "words"), [((100,), -5, "invalid for input of size"), ((100, 1, 1, 1), None, "a file is damaged")]
)
def test_damaged_torchvision_files(tmp_path, labels, end, words):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for half in ("train", "t10k"):
        (raw / f"{half}-images-idx3-ubyte").write_bytes(idx(np.zeros((100, 28, 28), np.uint8))[:end])
        (raw / f"{half}-labels-idx1-ubyte").write_bytes(idx(np.zeros(labels, np.uint8)))
    with pytest.raises(ValueError, match=f"no readable data: expected .*{words}"):
        create_data("mnist", root=str(tmp_path)).setup()


def test_errors(tmp_path):
    with pytest.raises(ValueError, match="expected .*mnist.npz or the files of torchvision's MNIST"):
        create_data("mnist", root=str(tmp_path)).setup()
    write_packed(tmp_path, "mnist")
    np.savez(tmp_path / "mnist" / "mnist.npz", x_train=np.zeros((1, 28, 28), np.uint8))
    with pytest.raises(ValueError, match="has no array 'y_train'"):
        create_data("mnist", root=str(tmp_path)).setup()
    (tmp_path / "cifar10").mkdir()
    arrays = {f"{k}_{s}": v for s in ("train", "test") for k, v in {"jpeg": np.zeros(90, np.uint8)}.items()}
    ends = {f"offset_{s}": np.arange(0, 91, 9) for s in ("train", "test")}
    labels = {f"y_{s}": np.arange(10) for s in ("train", "test")}
    np.savez(tmp_path / "cifar10" / "cifar10_jpeg.npz", **arrays, **ends, **labels)
    with pytest.raises(ValueError, match="cifar10_jpeg.npz: image 0 cannot be decoded"):
        create_data("cifar10", root=str(tmp_path), val=0.0).loader("train")
