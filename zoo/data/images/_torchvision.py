"""Small image data sets of torchvision, in its layout or packed in one npz file."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from zoo import paths
from zoo.data.file_readers import read_npz
from zoo.data.image_data import ImageData
from zoo.data.images._augment.policy import Augment
from zoo.data.images._pixel_sources import Arrays, Pixels
from zoo.data.split import Split


class TorchvisionSet(ImageData):
    """Read from a packed file such as ``ZOO_DATA/mnist/mnist.npz`` or from the folders that torchvision writes.

    Args:
        root: folder of the packed file, or the root folder of torchvision; None looks under ``ZOO_DATA``.
        size: side of the square images, in pixels.
        batch_size: images per batch on each rank.
        augment: augmentation policy of the training split.
        common: other arguments of ``zoo.data.image_data.ImageData``.

    Raises:
        ValueError: if an argument is out of range, or (once read) the data is missing or invalid.
    """

    packed: ClassVar[str]
    torchvision: ClassVar[Callable[..., Any]]

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

    @property
    def _root(self) -> Path:
        return Path(self.root).expanduser() if self.root else paths.data()

    @cached_property
    def _packed(self) -> Path | None:
        root = self._root
        return next((p for p in (root / self.packed, root / Path(self.packed).name) if p.is_file()), None)

    def _half(self, name: str) -> tuple[Pixels, np.ndarray]:
        if self._packed is not None:
            return self._unpack(self._packed, name)
        root = self._root
        try:
            data = self.torchvision(str(root), train=name == "train", download=False)
        except (RuntimeError, OSError, EOFError, ValueError, AssertionError, pickle.UnpicklingError) as error:
            layout = getattr(self.torchvision, "__name__", "data set")
            expected = f"{root / self.packed} or the files of torchvision's {layout} under {root}"
            reason = str(error) or "a file is damaged"  # torchvision may only assert
            raise ValueError(f"no readable data: expected {expected} ({reason}); set data.root or ZOO_DATA") from error
        return Arrays(np.asarray(data.data), self.size), np.asarray(data.targets)

    def _unpack(self, file: Path, name: str) -> tuple[Pixels, np.ndarray]:
        images, y = read_npz(file, f"x_{name}", f"y_{name}")
        return Arrays(images, self.size), y

    def _read(self) -> dict[str, Split]:
        splits: dict[str, Split] = {}
        for name in ("train", "test"):
            pixels, y = self._half(name)
            names = [f"{name}/{i:05d}" for i in range(len(y))]
            splits[name] = Split(names, torch.from_numpy(y.astype(np.int64)), pixels, torch.arange(len(y)))
        return splits
