"""Birds: CUB-200-2011, from its published folder or from a packed file of box crops."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch

from zoo import paths
from zoo.concept_schema import Concept, ConceptSchema
from zoo.data.image_data import ImageData
from zoo.data.images._augment.policy import Augment
from zoo.data.images._cub_files import CubFolder, CubPacked
from zoo.data.split import Split
from zoo.registry import register

Crop = Literal["box", "full"]
Source = Literal["auto", "folder", "packed"]
PACKED = Path("cub100") / "cub100_160.npz"
FOLDER = "CUB_200_2011"


@register
class Cub200(ImageData):
    """Caltech-UCSD Birds 200-2011 (Wah et al. 2011), 15 part keypoints, official train and test split.

    Read from the published folder ``CUB_200_2011`` (200 classes), or from ``cub100/cub100_160.npz`` (100 classes, box
    crops). ``crop="box"`` is the cropped protocol: coordinates of boxes and keypoints are truncated to integers, the
    crop is resized to a square, and keypoints are ``size * (x - x1) / (x2 - x1)`` in float64. ``crop="full"`` resizes
    the whole image to a square.

    Concepts are the 112 attributes of the concept papers (Koh et al. 2020, Concept Bottleneck Models), by class: true
    where at least half of the annotators saw the attribute in the class. Without the attribute files there are none.

    Left and right parts keep their names under a horizontal flip.

    Args:
        root: folder ``CUB_200_2011`` or packed file; None looks under ``ZOO_DATA``.
        crop: protocol, ``box`` or ``full``.
        source: ``folder``, ``packed``, or ``auto``, which prefers the folder.
        size: side of the square images, in pixels.
        batch_size: images per batch on each rank.
        augment: augmentation policy of the training split.
        common: other arguments of ``zoo.data.image_data.ImageData``.

    Raises:
        ValueError: if an argument is unknown, or (once read) the data is missing or invalid.
    """

    part_names = (
        *("back", "beak", "belly", "breast", "crown", "forehead", "left eye", "left leg"),
        *("left wing", "nape", "right eye", "right leg", "right wing", "tail", "throat"),
    )
    license = "CUB-200-2011: non-commercial research and education only"

    def __init__(
        self,
        *,
        root: str | None = None,
        crop: Crop = "box",
        source: Source = "auto",
        size: int = 224,
        batch_size: int = 64,
        augment: Augment = "full",
        **common: Any,
    ) -> None:
        super().__init__(size=size, batch_size=batch_size, augment=augment, **common)
        for name, value, known in (("crop", crop, get_args(Crop)), ("source", source, get_args(Source))):
            if value not in known:
                raise ValueError(f"data.{name} is {value!r}; expected one of {', '.join(known)}")
        self.root = root
        self.crop = crop
        self.source = source

    @cached_property
    def _files(self) -> CubFolder | CubPacked:
        root = Path(self.root).expanduser() if self.root else None
        folder = root or paths.data() / FOLDER
        packed = root or paths.data() / PACKED
        if self.source != "packed" and (folder / "images.txt").is_file():
            return CubFolder(folder, crop=self.crop)
        if self.source != "folder" and packed.is_file():
            if self.crop == "full":
                raise ValueError(f"{packed} holds box crops only; use crop=box, or the folder {FOLDER} for crop=full")
            return CubPacked(packed)
        expected = {"auto": f"{folder} or {packed}", "folder": folder / "images.txt", "packed": packed}[self.source]
        raise ValueError(f"no CUB-200-2011 data: {expected} is missing; set data.root or the variable ZOO_DATA")

    @cached_property
    def class_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Names such as ``Black footed Albatross``."""
        return self._files.class_names

    @cached_property
    def concepts(self) -> ConceptSchema | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Concepts such as ``has_bill_shape::dagger`` of the group ``has_bill_shape``; None without attribute files."""
        columns = tuple(Concept(name, group=name.split("::")[0]) for name in self._files.concept_names)
        return ConceptSchema(columns, "by class, majority of annotators") if columns else None

    def _read(self) -> dict[str, Split]:
        files = self._files
        points, visible = files.keypoints()
        y = torch.from_numpy(files.labels)
        concepts = files.class_concepts()
        samples = Split(
            names=files.image_names,
            y=y,
            pixels=files.pixels(self.size),
            rows=torch.arange(len(y)),
            concepts=None if concepts is None else torch.from_numpy(concepts)[y],
            points=torch.from_numpy(points) * self.size,
            visible=torch.from_numpy(visible),
        )
        train = torch.from_numpy(np.asarray(files.is_train))
        return {"train": samples.take(train.nonzero()[:, 0]), "test": samples.take((~train).nonzero()[:, 0])}
