"""Small classic sets, in torchvision's layout or packed in one npz."""

from __future__ import annotations

import pickle
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from zoo import paths
from zoo.data.images._augment import Augment
from zoo.data.images._image_data import ImageData
from zoo.data.images._npz import read_npz
from zoo.data.images._pixels import Arrays, Pixels
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
