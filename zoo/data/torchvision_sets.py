"""Small classic sets, in torchvision's layout or packed in one npz."""

from __future__ import annotations

import pickle
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torchvision import datasets

from zoo import paths
from zoo.data.augment import Augment
from zoo.data.images import ImageData
from zoo.data.npz import read_npz
from zoo.data.pixels import Arrays, Packed, Pixels
from zoo.data.split import Split


class TorchvisionSet(ImageData):
    """Read from ``ZOO_DATA/<name>/<name>.npz``-like packed files or from the folders that torchvision makes.

    Args:
        root: folder of the packed file, or the one given to torchvision as its root; None looks under ``ZOO_DATA``.
        size: side of the square images, in pixels.
        batch_size: of one rank.
        augment: policy for training.
        common: the other arguments of ``ImageData``.

    Raises:
        ValueError: if an argument is out of range, or (once read) the data is missing or wrong.
    """

    packed: ClassVar[str]
    torchvision: ClassVar[type]

    def __init__(
        self,
        *,
        root: str | None = None,
        size: int = 32,
        batch_size: int = 128,
        augment: Augment = "shift",
        **common: Any,
    ) -> None:
        super().__init__(size=size, batch_size=batch_size, augment=augment, **common)
        self.root = root

    @cached_property
    def _packed(self) -> Path | None:
        root = Path(self.root).expanduser() if self.root else paths.data()
        return next((p for p in (root / self.packed, root / Path(self.packed).name) if p.is_file()), None)

    def _half(self, name: str) -> tuple[Pixels, np.ndarray]:
        if self._packed is not None:
            return self._unpack(self._packed, name)
        root = Path(self.root).expanduser() if self.root else paths.data()
        try:
            found = self.torchvision(str(root), train=name == "train", download=False)
        except (RuntimeError, OSError, EOFError, ValueError, AssertionError, pickle.UnpicklingError) as error:
            wanted = f"{root / self.packed} or the files of torchvision's {self.torchvision.__name__} under {root}"
            why = str(error) or "a file is damaged"  # where torchvision only asserts
            raise ValueError(f"no readable data: expected {wanted} ({why}); set data.root or ZOO_DATA") from error
        return Arrays(np.asarray(found.data), self.size), np.asarray(found.targets)

    def _unpack(self, file: Path, name: str) -> tuple[Pixels, np.ndarray]:
        images, y = read_npz(file, f"x_{name}", f"y_{name}")
        return Arrays(images, self.size), y

    def _read(self) -> dict[str, Split]:
        splits = {}
        for name in ("train", "test"):
            pixels, y = self._half(name)
            names = [f"{name}/{i:05d}" for i in range(len(y))]
            splits[name] = Split(names, torch.from_numpy(y.astype(np.int64)), pixels, torch.arange(len(y)))
        return splits


class Mnist(TorchvisionSet):
    """Handwritten digits (LeCun et al. 1998). See :class:`TorchvisionSet` for the arguments."""

    class_names = tuple("0123456789")
    licence = "CC BY-SA 3.0 as usually given (LeCun, Cortes, Burges)"
    default_mean, default_std = (0.1307,) * 3, (0.3081,) * 3
    packed, torchvision = "mnist/mnist.npz", datasets.MNIST


class FashionMnist(TorchvisionSet):
    """Articles of clothing (Xiao et al. 2017). See :class:`TorchvisionSet` for the arguments."""

    class_names = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
    licence = "MIT (Zalando)"
    default_mean, default_std = (0.2860,) * 3, (0.3530,) * 3
    packed, torchvision = "fashion_mnist/fashion_mnist.npz", datasets.FashionMNIST


class Cifar10(TorchvisionSet):
    """Ten kinds of thing (Krizhevsky 2009); the packed form is lossy JPEG. See :class:`TorchvisionSet` for arguments.

    Use ``augment="flip"`` for the usual policy.
    """

    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    licence = "none stated (Krizhevsky 2009)"
    default_mean, default_std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    packed, torchvision = "cifar10/cifar10_jpeg.npz", datasets.CIFAR10

    def _unpack(self, file: Path, name: str) -> tuple[Pixels, np.ndarray]:
        jpeg, offset, y = read_npz(file, *(f"{key}_{name}" for key in ("jpeg", "offset", "y")))
        return Packed(str(file), jpeg, offset, self.size), y
