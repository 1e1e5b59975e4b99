"""Base class of image sources: size, augmentation, normalization."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema
from zoo.data.base import Data, SplitName
from zoo.data.images._augment.gaussian_noise import Noise
from zoo.data.images._augment.policy import Augment, policy
from zoo.data.split import ImageDataset
from zoo.inputs.base import Inputs
from zoo.inputs.image import ImageInputs
from zoo.inputs.images.picture import WHITE
from zoo.inputs.labels import compare_names
from zoo.inputs.tables.target import Target


class ImageData(Data):
    """A source of labeled images, normalized.

    Args:
        size: side of the square images, in pixels.
        batch_size: images per batch on each rank.
        augment: augmentation policy of the training split: ``none``, ``shift`` (small rotation, translation and scale),
            ``flip`` (horizontal flip, crop and color) or ``full`` (flip, rotation, shear, perspective and color).
        views: number of views of each training image, all with the geometry of ``augment`` and each with random
            brightness, contrast and saturation of its own; the first is ``Batch.x``, the others are ``Batch.views``. 1
            for the augmented image alone.
        noise: standard deviation of Gaussian noise that is added to normalized training images; 0 for none.
        noise_clip: largest absolute noise.
        noise_share: share of the training images to which noise is added, drawn anew each epoch.
        channels: 3, or 1 for the mean of the three.
        mean: mean of each of three channels, of x in [0, 1]; None for the default of the source.
        std: standard deviation of each of three channels; None for the default of the source.
        common: other arguments of ``zoo.data.base.Data``.

    Raises:
        ValueError: if an argument is out of range.
    """

    capabilities = frozenset({"fixed_shape"})
    default_mean: ClassVar[tuple[float, ...]] = (0.485, 0.456, 0.406)
    default_std: ClassVar[tuple[float, ...]] = (0.229, 0.224, 0.225)

    def __init__(
        self,
        *,
        size: int,
        batch_size: int,
        augment: Augment,
        views: int = 1,
        noise: float = 0.0,
        noise_clip: float = 0.25,
        noise_share: float = 0.5,
        channels: Literal[1, 3] = 3,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **common)
        self.size = size
        self.augment: Augment = augment
        self.views = views
        self.noise = Noise(noise, noise_clip, noise_share) if noise else None
        self.channels = channels
        self.mean = tuple(mean or self.default_mean)
        self.std = tuple(std or self.default_std)
        if size < 1:
            raise ValueError(f"data.size is {size}; expected 1 or more")
        if views < 1:
            raise ValueError(f"data.views is {views}; expected 1 or more")
        if channels not in (1, 3):
            raise ValueError(f"data.channels is {channels}; expected 1 or 3")
        finite = all(map(math.isfinite, self.mean + self.std))
        if not finite or len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(f"data.mean is {self.mean}, data.std {self.std}; expected three numbers each, std above 0")
        if channels == 1:
            self.mean = (sum(self.mean) / 3,)
            self.std = (sum(self.std) / 3,)
        self._policy = policy(augment, size)
        self._images: dict[str, Tensor | None] = {}
        self._trained: ImageInputs | None = None
        self._trained_concepts: ConceptSchema | None = None

    _background: tuple[int, int, int] = WHITE
    _value_range: tuple[float, float] | None = None

    @property
    def inputs(self) -> ImageInputs:
        """Size, normalization and names, or those of the trained model."""
        return self._trained or self._reader(self.class_names, self.part_names, self.fitted_target)

    def _reader(
        self, class_names: Sequence[str] = (), part_names: Sequence[str] = (), target: Target | None = None
    ) -> ImageInputs:
        return ImageInputs(
            size=self.size,
            channels=self.channels,
            mean=self.mean,
            std=self.std,
            class_names=class_names,
            part_names=part_names,
            background=self._background,
            value_range=self._value_range,
            target=target,
        )

    @property
    def fitted_target(self) -> Target | None:
        """Columns of a file that the model answers with; None where it answers with classes of pictures."""
        return None

    def use_inputs(self, inputs: Inputs, concepts: ConceptSchema | None = None) -> None:
        """Read the pictures with size and normalization of a trained model, and its classes by name.

        Raises:
            ValueError: if the model reads no images.
        """
        if not isinstance(inputs, ImageInputs):
            raise ValueError(f"the model reads inputs of kind {inputs.kind!r}, not images; name other data")
        self._trained, self._trained_concepts = inputs, concepts
        self.size, self.channels = inputs.size, 3 if inputs.channels == 3 else 1
        self.mean, self.std = inputs.mean, inputs.std
        self._background = (inputs.background[0], inputs.background[1], inputs.background[2])
        self._value_range = inputs.value_range
        self._policy = policy(self.augment, self.size)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """``(channels, size, size)``."""
        return self.channels, self.size, self.size

    @property
    def input_scale(self) -> str:
        """Description of the numbers of an input, for a model card."""
        return f"mean {list(self.mean)}, std {list(self.std)}"

    def _serve(self, name: SplitName, *, augment: bool) -> ImageDataset:
        if self._trained is not None and self._trained.class_names != tuple(self.class_names):
            compare_names(self._trained.class_names, self.class_names, "classes", exact=True)
            raise ValueError(f"the classes are in the order {', '.join(self.class_names)}, which is not the model's")
        split = self._split(name)
        if name not in self._images:
            self._images[name] = split.decode()
        return ImageDataset(
            split,
            self._images[name],
            transform=self._policy if augment else None,
            views=self.views if augment else 1,
            noise=self.noise if augment else None,
            seed=self.seed,
            mean=self.mean,
            std=self.std,
            device="cuda" if augment and self._policy is not None and torch.cuda.is_available() else None,
        )

    def read_input(self, text: str) -> Tensor:
        """Return an image file as an input ``(channels, s, s)``, resized to a square and normalized.

        Args:
            text: path of the file.

        Raises:
            ValueError: if the file is missing, is not an image, or cannot be read unambiguously.
        """
        reader = self._trained or self._reader()
        return reader.normalize(reader.pixels(text))

    def to_image(self, x: Tensor) -> Tensor:
        """Return inputs ``(b, channels, s, s)`` as images ``(b, 3, s, s)`` in [0, 1]."""
        mean, std = (torch.tensor(v, device=x.device, dtype=x.dtype)[:, None, None] for v in (self.mean, self.std))
        return (x * std + mean).clamp(0, 1).expand(-1, 3, -1, -1)
