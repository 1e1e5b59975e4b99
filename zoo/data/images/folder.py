"""A user's own images: one folder per class, optionally a CSV of keypoints and one of concepts."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from zoo.concept_schema import ConceptSchema
from zoo.data.concepts._columns import Labels
from zoo.data.concepts._file import read_concepts
from zoo.data.images._augment import Augment
from zoo.data.images._image_data import ImageData
from zoo.data.images._keypoints import Keypoint, read_keypoints
from zoo.data.images._pixels import Files
from zoo.data.split import Split, held_out
from zoo.registry import register

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}


@register
class Folder(ImageData):
    """``root/<class>/<image>``, or ``root/train/<class>/<image>`` beside ``root/test`` and, if wanted, ``root/val``.

    Images are squashed to a square. Where there is no test folder a stratified fifth is held out for it, the same one
    whatever the seed.

    Args:
        root: the folder.
        keypoints: CSV file with columns ``file`` (relative to root), ``part``, ``x``, ``y`` in pixels of the original
            image and, if wanted, ``visible`` (0 or 1; with 0, ``x`` and ``y`` may be empty). A part without a row is
            not visible. None for no keypoints.
        concepts_file: CSV file whose first column is ``file`` (relative to root) and each further one a concept; an
            empty cell and an image without a row are unknown. Kinds are read off the cells, see
            ``zoo.data.concepts._columns.encode``. None for no concepts.
        concept_kinds: binary, categorical or continuous, for concepts whose cells do not say so.
        size: side of the square images, in pixels.
        batch_size: of one rank.
        augment: policy for training.
        common: the other arguments of ``ImageData``.

    Raises:
        ValueError: if an argument is out of range, or (once read) a file or row is missing or wrong.
    """

    license = "the user's own"
    users_own = True

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
        self.root, self.keypoints = Path(root).expanduser(), keypoints
        self.concepts_file, self.concept_kinds = concepts_file, concept_kinds

    @cached_property
    def _divided(self) -> list[str]:
        present = [name for name in ("train", "val", "test") if (self.root / name).is_dir()]
        return present if "train" in present else []

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Names of the class folders, sorted."""
        top = self.root / "train" if self._divided else self.root
        found = sorted(p.name for p in top.iterdir() if p.is_dir()) if top.is_dir() else []
        if not found:
            raise ValueError(f"{top} has no class folders; expected {top}/<class>/<image>")
        return tuple(found)

    @cached_property
    def part_names(self) -> tuple[str, ...]:
        """Names of the parts in the CSV, sorted."""
        return tuple(sorted({point.part for point in self._keypoints}))

    @cached_property
    def _keypoints(self) -> list[Keypoint]:
        return read_keypoints(Path(self.keypoints).expanduser()) if self.keypoints else []

    @cached_property
    def _said(self) -> Labels | None:
        if not self.concepts_file:
            return None
        names = [name for split in self._pictures.values() for name in split.names]
        return read_concepts(Path(self.concepts_file).expanduser(), names, kinds=self.concept_kinds)

    @cached_property
    def concepts(self) -> ConceptSchema | None:
        """The columns of the CSV; mean and std are of the training split."""
        return None if self._said is None else self._said.schema(self._parted["train"].concepts)

    def _read(self) -> dict[str, Split]:
        if self._said is None:
            return self._pictures
        each = self._said.values.split([len(split) for split in self._pictures.values()])
        return {k: replace(s, concepts=c) for (k, s), c in zip(self._pictures.items(), each, strict=True)}

    @cached_property
    def _pictures(self) -> dict[str, Split]:
        if self._divided:
            splits = {name: self._split_of(self.root / name) for name in self._divided}
            if "test" not in splits:
                raise ValueError(f"{self.root} has train but no test; add it, or pass data.root={self.root / 'train'}")
            return splits
        every = self._split_of(self.root)
        test = held_out(every.y, 0.2, seed=0)  # fixed: another seed must not train on it
        return {"train": every.take((~test).nonzero()[:, 0]), "test": every.take(test.nonzero()[:, 0])}

    def _split_of(self, folder: Path) -> Split:
        strange = {p.name for p in folder.iterdir() if p.is_dir()} - set(self.class_names)
        if strange:
            raise ValueError(f"{folder / min(strange)} is no class of train; move or remove it")
        files, y = [], []
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
        place, part_id = {n: i for i, n in enumerate(names)}, {p: i for i, p in enumerate(self.part_names)}
        points = np.zeros((len(names), len(part_id), 2))
        visible = np.zeros(points.shape[:2], bool)
        sides: dict[str, tuple[int, int]] = {}
        for point in self._keypoints:
            name, where = point.file, f"{self.keypoints}, row {point.row}"
            if name not in place:
                if not (self.root / name).is_file():
                    raise ValueError(f"{where}: there is no image {self.root / name}")
                continue
            if name not in sides:
                sides[name] = _sides(self.root / name)
            if point.visible and not all(0 <= v <= side for v, side in zip(point.at, sides[name], strict=True)):
                raise ValueError(
                    f"{where}: {point.part} at {point.at} is outside {name}, which is {sides[name]} pixels"
                )
            at = place[name], part_id[point.part]
            visible[at] = point.visible
            points[at] = np.array(point.at) * self.size / sides[name] if point.visible else 0
        return torch.from_numpy(points), torch.from_numpy(visible)


def _sides(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except OSError as error:
        raise ValueError(f"{path} cannot be read as an image ({error}); restore or remove it") from error
