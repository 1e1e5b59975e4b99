"""CIFAR-10: small color photographs of ten kinds of object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torchvision import datasets

from zoo.data.file_readers import read_npz
from zoo.data.images._pixel_sources import Packed, Pixels
from zoo.data.images._torchvision import TorchvisionSet
from zoo.registry import register


@register
class Cifar10(TorchvisionSet):
    """Ten object classes (Krizhevsky 2009); the packed file is lossy JPEG. See :class:`TorchvisionSet` for arguments.

    Use ``augment="flip"`` for the usual policy.
    """

    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    license = "none stated (Krizhevsky 2009)"
    default_mean = (0.4914, 0.4822, 0.4465)
    default_std = (0.2470, 0.2435, 0.2616)
    packed = "cifar10/cifar10_jpeg.npz"
    torchvision = datasets.CIFAR10

    def _unpack(self, file: Path, name: str) -> tuple[Pixels, np.ndarray]:
        jpeg, offset, y = read_npz(file, *(f"{key}_{name}" for key in ("jpeg", "offset", "y")))
        return Packed(str(file), jpeg, offset, self.size), y
