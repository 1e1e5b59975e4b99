"""Handwritten digits (MNIST), 28 x 28 gray."""

from __future__ import annotations

from torchvision import datasets

from zoo.data.images._torchvision import TorchvisionSet
from zoo.registry import register


@register
class Mnist(TorchvisionSet):
    """Handwritten digits (LeCun et al. 1998). See :class:`TorchvisionSet` for the arguments."""

    class_names = tuple("0123456789")
    license = "CC BY-SA 3.0 as usually given (LeCun, Cortes, Burges)"
    default_mean = (0.1307,) * 3
    default_std = (0.3081,) * 3
    packed = "mnist/mnist.npz"
    torchvision = datasets.MNIST
