"""Images of the user: a folder for each class, or a CSV file of targets; optional keypoints, masks and concepts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zoo.concept_schema import ConceptSchema
from zoo.data.concepts._concept_columns import Labels
from zoo.data.concepts._concepts_file import read_concepts
from zoo.data.image_data import ImageData
from zoo.data.images._augment.policy import Augment
from zoo.data.images._keypoints import Keypoint, read_keypoints
from zoo.data.images._labels_file import LabelsFile, TaskName, read_labels, task_of
from zoo.data.images._part_masks import MaskFolder
from zoo.data.images._pixel_sources import Pictures
from zoo.data.split import Split, stratified_holdout
from zoo.inputs.images.class_folders import ClassFolders, Picture, name_key, read_class_folders
from zoo.inputs.images.picture import upright_size
from zoo.inputs.labels import compare_names
from zoo.inputs.tables.target import Target
from zoo.registry import register
from zoo.task import Task


@register
class Folder(ImageData):
    """``root/<class>/<image>``, or ``root/train/<class>/<image>`` beside ``root/test`` and optionally ``root/val``.

    Folders of splits may have other usual names, such as ``Training`` and ``valid``; hidden and system files are
    ignored. Images are turned upright (EXIF) and resized to a square. Without a test folder, a stratified fifth of the
    images is the test split, the same for every seed.

    With ``labels`` the target comes from a CSV file instead: classes, numbers (regression) or several labels.

    Args:
        root: the folder.
        labels: CSV file with the columns ``file`` (relative to root), the target, and optionally ``split`` (train, val
            or test). Images may lie in any folders below root; those without a row are left out with a warning. None
            for class folders.
        target: column of ``labels`` with the target, or several columns of yes and no; None for all other columns.
        task: of ``labels``; None to infer it, as for tables.
        keypoints: CSV file with columns ``file`` (relative to root), ``part``, ``x``, ``y`` in pixels of the upright
            image and optionally ``visible`` (0 or 1; with 0, ``x`` and ``y`` may be empty). A part without a row is not
            visible. None for no keypoints.
        masks: folder of PNG files that tell the pixels of each part, of the sizes of the upright images. With
            ``mask_parts`` one file of part ids for each image, ``masks/<class>/<image>.png``, 0 where there is no part.
            Without it one folder for each part, ``masks/<part>/<class>/<image>.png``, with a file for each image that
            shows the part and any value but 0 on it. Where the images are in folders of splits, so are the masks. Map
            scores compare evidence with these masks instead of regions around keypoints. None for no masks.
        mask_parts: names of the part ids 1, 2, ...; None where each part has a folder.
        concepts_file: CSV file whose first column is ``file`` (relative to root); each other column is a concept. Empty
            cells and images without a row are unknown. Kinds are inferred from the cells, see
            ``zoo.data.concepts._concept_columns.encode``. None for no concepts.
        concept_kinds: kind (binary, categorical or continuous) of concepts whose cells are ambiguous.
        size: side of the square images, in pixels.
        background: red, green and blue behind transparent pixels.
        value_range: values that are black and white in images of more than 8 bits; None for the range of their type.
        batch_size: images per batch on each rank.
        augment: augmentation policy of the training split.
        common: other arguments of ``zoo.data.image_data.ImageData``.

    Raises:
        ValueError: if an argument is out of range, or (once read) a file or row is missing or invalid.
    """

    license = "the user's own"
    user_supplied = True

    def __init__(
        self,
        *,
        root: str,
        labels: str | None = None,
        target: list[str] | None = None,
        task: TaskName | None = None,
        keypoints: str | None = None,
        masks: str | None = None,
        mask_parts: list[str] | None = None,
        concepts_file: str | None = None,
        concept_kinds: dict[str, str] | None = None,
        size: int = 224,
        background: list[int] | None = None,
        value_range: list[float] | None = None,
        batch_size: int = 64,
        augment: Augment = "flip",
        **common: Any,
    ) -> None:
        super().__init__(size=size, batch_size=batch_size, augment=augment, **common)
        if concept_kinds and not concepts_file:
            raise ValueError("data.concept_kinds is given without data.concepts_file; give both or neither")
        if mask_parts is not None and not masks:
            raise ValueError("data.mask_parts is given without data.masks; give both or neither")
        if (target or task) and not labels:
            raise ValueError("data.target and data.task describe the columns of data.labels, which is not given")
        self.root = Path(root).expanduser()
        self.labels = labels
        self.target = target
        self.task_kind: TaskName | None = task
        self.keypoints = keypoints
        self.masks = masks
        self.mask_parts = mask_parts
        self.concepts_file = concepts_file
        self.concept_kinds = concept_kinds
        if background is not None:
            if len(background) != 3:
                raise ValueError(f"data.background is {background}; expected red, green and blue")
            self._background = (background[0], background[1], background[2])
        if value_range is not None:
            if len(value_range) != 2:
                raise ValueError(f"data.value_range is {value_range}; expected the values that are black and white")
            self._value_range = (value_range[0], value_range[1])
        self._reader()  # raises if either is out of range

    @property
    def is_available(self) -> bool:
        """Whether the folder exists; a trained model answers for images without it."""
        return self.root.is_dir()

    @cached_property
    def _folders(self) -> ClassFolders:
        names = None if self._trained is None else self._trained.class_names
        folders = read_class_folders(self.root, class_names=names)
        for note in folders.notes:
            warnings.warn(note, stacklevel=2)
        return folders

    @cached_property
    def _labels_file(self) -> LabelsFile:
        assert self.labels is not None
        trained = None if self._trained is None else self._trained.target
        if self._trained is not None and trained is None:
            raise ValueError("the model was trained on class folders; give it such folders, without data.labels")
        file = read_labels(Path(self.labels).expanduser(), self.root, self.target, self.task_kind, trained)
        for note in file.notes:
            warnings.warn(note, stacklevel=2)
        return file

    @property
    def fitted_target(self) -> Target | None:
        """The target of the labels file, fitted on the training rows; None for class folders."""
        return self._labels_file.target if self.labels else None

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the classes or labels, or of the column of the number."""
        target = self.fitted_target if self._trained is None else self._trained.target
        return self.class_names if target is None or self.class_names else target.columns

    @cached_property
    def model_task(self) -> Task:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Task of a model of these data, as fitted on the training split."""
        return super().model_task if self.fitted_target is None else task_of(self.fitted_target)

    @cached_property
    def _pictures(self) -> dict[str, tuple[Picture, ...]]:
        """The pictures by split; those of class folders without splits under ``all``."""
        if not self.labels:
            return dict(self._folders.splits)
        file = self._labels_file
        return {name: tuple(file.pictures[i] for i in rows.tolist()) for name, rows in file.rows.items()}

    @cached_property
    def class_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Names of the class folders, or of the classes or labels in the file; or those of the trained model."""
        if self._trained is not None:
            return self._trained.class_names
        return self._labels_file.target.class_names if self.labels else self._folders.class_names

    @cached_property
    def part_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Names of the parts that have keypoints or masks, sorted; or those of the trained model."""
        masked = () if self._mask_folder is None else self._mask_folder.part_names
        names = tuple(sorted({*(point.part for point in self._keypoints), *masked}))
        if self._trained is None or not names:
            return names
        compare_names(self._trained.part_names, names, "parts", partial=True, exact=True)
        return self._trained.part_names

    @cached_property
    def _keypoints(self) -> list[Keypoint]:
        return read_keypoints(Path(self.keypoints).expanduser()) if self.keypoints else []

    @property
    def has_masks(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the pixels of parts are annotated."""
        return self.masks is not None

    @cached_property
    def _mask_folder(self) -> MaskFolder | None:
        if self.masks is None:
            return None
        folder = MaskFolder(Path(self.masks).expanduser(), self.root, self.mask_parts)
        folder.check([picture for pictures in self._pictures.values() for picture in pictures])
        return folder

    @cached_property
    def _labels(self) -> Labels | None:
        if not self.concepts_file:
            return None
        names = [name for split in self._images_of.values() for name in split.names]
        labels = read_concepts(Path(self.concepts_file).expanduser(), names, kinds=self.concept_kinds)
        return labels.in_order_of(self._trained_concepts)

    @cached_property
    def concepts(self) -> ConceptSchema | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Concepts of the CSV file; mean and std are those of the training split, or of the trained model."""
        if self._trained_concepts is not None and (self.concepts_file or not self.is_available):
            return self._trained_concepts
        return None if self._labels is None else self._labels.schema(self._divided_splits["train"].concepts)

    def _read(self) -> dict[str, Split]:
        if self._labels is None:
            return self._images_of
        values = self._labels.values.split([len(split) for split in self._images_of.values()])
        return {k: replace(s, concepts=c) for (k, s), c in zip(self._images_of.items(), values, strict=True)}

    def _check_split(self, name: str, split: Split) -> None:
        if self._trained is None:  # images to be scored need not be of every class
            super()._check_split(name, split)

    @cached_property
    def _images_of(self) -> dict[str, Split]:
        folders = self._pictures
        if self.labels:
            y = self._labels_file.y
            rows = self._labels_file.rows
            return {name: replace(self._split_of(p), y=y[rows[name]]) for name, p in folders.items()}
        if self._trained is not None and self._trained.target is not None:
            raise ValueError("the model answers with columns of a file; name the file in data.labels")
        if "all" not in folders:
            if "test" not in folders:
                raise ValueError(f"{self.root} has train but no test; add it, or pass data.root={self.root / 'train'}")
            return {name: self._split_of(pictures) for name, pictures in folders.items()}
        samples = self._split_of(folders["all"])
        test = stratified_holdout(samples.y, 0.2, seed=0)  # fixed: another seed must not train on it
        return {"train": samples.take((~test).nonzero()[:, 0]), "test": samples.take(test.nonzero()[:, 0])}

    def _split_of(self, pictures: Sequence[Picture]) -> Split:
        names = [picture.name for picture in pictures]
        y = torch.tensor([picture.label for picture in pictures])
        points, visible = self._points(pictures) if self.keypoints else (None, None)
        files = tuple(str(picture.path) for picture in pictures)
        pixels = Pictures(files, self.size, background=self._background, value_range=self._value_range)
        folder = self._mask_folder
        masks = None if folder is None else folder.of_images(pictures, self.part_names, self.size)
        return Split(names, y, pixels, torch.arange(len(y)), points=points, visible=visible, masks=masks)

    def _points(self, pictures: Sequence[Picture]) -> tuple[torch.Tensor, torch.Tensor]:
        place = {picture.name: i for i, picture in enumerate(pictures)}
        part_id = {part: i for i, part in enumerate(self.part_names)}
        known = {picture.name for split in self._pictures.values() for picture in split}
        points = np.zeros((len(pictures), len(part_id), 2))
        visible = np.zeros(points.shape[:2], bool)
        sides: dict[str, tuple[int, int]] = {}
        for point in self._keypoints:
            name = name_key(point.file)
            where = f"{self.keypoints}, line {point.line}"
            if name not in place:
                if name not in known:
                    raise ValueError(f"{where}: there is no image {self.root / name}")
                continue
            if name not in sides:
                sides[name] = upright_size(pictures[place[name]].path)
            if point.visible and not all(0 <= v <= side for v, side in zip(point.at, sides[name], strict=True)):
                raise ValueError(
                    f"{where}: {point.part} at {point.at} is outside {name}, which is {sides[name]} pixels"
                )
            at = place[name], part_id[point.part]
            visible[at] = point.visible
            points[at] = np.array(point.at) * self.size / sides[name] if point.visible else 0
        return torch.from_numpy(points), torch.from_numpy(visible)
