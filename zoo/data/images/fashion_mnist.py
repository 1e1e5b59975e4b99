"""Articles of clothing (Fashion-MNIST), 28 x 28 gray."""

from __future__ import annotations

from torchvision import datasets

from zoo.data.images._torchvision import TorchvisionSet
from zoo.registry import register


@register
class FashionMnist(TorchvisionSet):
    """Articles of clothing (Xiao et al. 2017). See :class:`TorchvisionSet` for the arguments."""

    class_names = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
    license = "MIT (Zalando)"
    default_mean = (0.2860,) * 3
    default_std = (0.3530,) * 3
    packed = "fashion_mnist/fashion_mnist.npz"
    torchvision = datasets.FashionMNIST
