"""Images of the user: one folder per class, optionally a CSV file of keypoints and one of concepts."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from zoo.concept_schema import ConceptSchema
from zoo.data.concepts._concept_columns import Labels
from zoo.data.concepts._concepts_file import read_concepts
from zoo.data.images._augment import Augment
from zoo.data.images._image_data import ImageData
from zoo.data.images._keypoints import Keypoint, read_keypoints
from zoo.data.images._pixels import Files
from zoo.data.split import Split, stratified_holdout
from zoo.registry import register

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}


@register
class Folder(ImageData):
    """``root/<class>/<image>``, or ``root/train/<class>/<image>`` beside ``root/test`` and optionally ``root/val``.

    Images are resized to a square. Without a test folder, a stratified fifth of the images is the test split, the same
    for every seed.

    Args:
        root: the folder.
        keypoints: CSV file with columns ``file`` (relative to root), ``part``, ``x``, ``y`` in pixels of the original
            image and optionally ``visible`` (0 or 1; with 0, ``x`` and ``y`` may be empty). A part without a row is not
            visible. None for no keypoints.
        concepts_file: CSV file whose first column is ``file`` (relative to root); each other column is a concept. Empty
            cells and images without a row are unknown. Kinds are inferred from the cells, see
            ``zoo.data.concepts._concept_columns.encode``. None for no concepts.
        concept_kinds: kind (binary, categorical or continuous) of concepts whose cells are ambiguous.
        size: side of the square images, in pixels.
        batch_size: images per batch on each rank.
        augment: augmentation policy of the training split.
        common: other arguments of ``ImageData``.

    Raises:
        ValueError: if an argument is out of range, or (once read) a file or row is missing or invalid.
    """

    license = "the user's own"
    user_supplied = True

    def __init__(
        self,
        *,
        root: str,
        keypoints: str | None = None,
        concepts_file: str | None = None,
        concept_kinds: dict[str, str] | None = None,
        size: int = 224,
        batch_size: int = 64,
        augment: Augment = "flip",
        **common: Any,
    ) -> None:
        super().__init__(size=size, batch_size=batch_size, augment=augment, **common)
        if concept_kinds and not concepts_file:
            raise ValueError("data.concept_kinds is given without data.concepts_file; give both or neither")
        self.root = Path(root).expanduser()
        self.keypoints = keypoints
        self.concepts_file = concepts_file
        self.concept_kinds = concept_kinds

    @cached_property
    def _split_folders(self) -> list[str]:
        present = [name for name in ("train", "val", "test") if (self.root / name).is_dir()]
        return present if "train" in present else []

    @cached_property
    def class_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Names of the class folders, sorted."""
        top = self.root / "train" if self._split_folders else self.root
        names = sorted(p.name for p in top.iterdir() if p.is_dir()) if top.is_dir() else []
        if not names:
            raise ValueError(f"{top} has no class folders; expected {top}/<class>/<image>")
        return tuple(names)

    @cached_property
    def part_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Names of the parts in the CSV file, sorted."""
        return tuple(sorted({point.part for point in self._keypoints}))

    @cached_property
    def _keypoints(self) -> list[Keypoint]:
        return read_keypoints(Path(self.keypoints).expanduser()) if self.keypoints else []

    @cached_property
    def _labels(self) -> Labels | None:
        if not self.concepts_file:
            return None
        names = [name for split in self._images_of.values() for name in split.names]
        return read_concepts(Path(self.concepts_file).expanduser(), names, kinds=self.concept_kinds)

    @cached_property
    def concepts(self) -> ConceptSchema | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Concepts of the CSV file; mean and std are those of the training split."""
        return None if self._labels is None else self._labels.schema(self._divided_splits["train"].concepts)

    def _read(self) -> dict[str, Split]:
        if self._labels is None:
            return self._images_of
        values = self._labels.values.split([len(split) for split in self._images_of.values()])
        return {k: replace(s, concepts=c) for (k, s), c in zip(self._images_of.items(), values, strict=True)}

    @cached_property
    def _images_of(self) -> dict[str, Split]:
        if self._split_folders:
            splits = {name: self._split_of(self.root / name) for name in self._split_folders}
            if "test" not in splits:
                raise ValueError(f"{self.root} has train but no test; add it, or pass data.root={self.root / 'train'}")
            return splits
        samples = self._split_of(self.root)
        test = stratified_holdout(samples.y, 0.2, seed=0)  # fixed: another seed must not train on it
        return {"train": samples.take((~test).nonzero()[:, 0]), "test": samples.take(test.nonzero()[:, 0])}

    def _split_of(self, folder: Path) -> Split:
        unknown = {p.name for p in folder.iterdir() if p.is_dir()} - set(self.class_names)
        if unknown:
            raise ValueError(f"{folder / min(unknown)} is not a class of train; move or remove it")
        files: list[Path] = []
        y: list[int] = []
        for label, name in enumerate(self.class_names):
            of_class = sorted(p for p in (folder / name).rglob("*") if p.suffix.lower() in SUFFIXES)
            if not of_class:
                raise ValueError(f"class {name!r} has no image in {folder / name}; add one or remove the class")
            files += of_class
            y += [label] * len(of_class)
        names = [p.relative_to(self.root).as_posix() for p in files]
        points, visible = self._points(names) if self.keypoints else (None, None)
        pixels = Files([str(p) for p in files], self.size)
        return Split(names, torch.tensor(y), pixels, torch.arange(len(y)), points=points, visible=visible)

    def _points(self, names: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        place = {name: i for i, name in enumerate(names)}
        part_id = {part: i for i, part in enumerate(self.part_names)}
        points = np.zeros((len(names), len(part_id), 2))
        visible = np.zeros(points.shape[:2], bool)
        sides: dict[str, tuple[int, int]] = {}
        for point in self._keypoints:
            name = point.file
            where = f"{self.keypoints}, row {point.row}"
            if name not in place:
                if not (self.root / name).is_file():
                    raise ValueError(f"{where}: there is no image {self.root / name}")
                continue
            if name not in sides:
                sides[name] = _image_size(self.root / name)
            if point.visible and not all(0 <= v <= side for v, side in zip(point.at, sides[name], strict=True)):
                raise ValueError(
                    f"{where}: {point.part} at {point.at} is outside {name}, which is {sides[name]} pixels"
                )
            at = place[name], part_id[point.part]
            visible[at] = point.visible
            points[at] = np.array(point.at) * self.size / sides[name] if point.visible else 0
        return torch.from_numpy(points), torch.from_numpy(visible)


def _image_size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except OSError as error:
        raise ValueError(f"{path} cannot be read as an image ({error}); restore or remove it") from error
