"""Rendered birds with known parts, keypoints, masks and concepts; any part can be left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from zoo.concept_schema import Concept, ConceptSchema
from zoo.data.base import SplitName
from zoo.data.concepts._concept_faults import MissingPattern
from zoo.data.image_data import ImageData
from zoo.data.images._augment.policy import Augment
from zoo.data.images._pixel_sources import Arrays
from zoo.data.images._shapes_draw import FINE, NAMES, VARIANTS, draw, hue, pose
from zoo.data.split import Split
from zoo.registry import register

SPLITS = ("train", "val", "test")
Background = Literal["random", "spurious"]
HINT_RATE = 0.95  # probability that the spurious background has the color of the true class


@dataclass(frozen=True)
class Scene:
    """One rendered scene.

    Attributes:
        image: ``(3, s, s)`` uint8.
        points: ``(p, 2)`` float64 keypoints in pixels.
        visible: ``(p,)`` bool, whether a keypoint is drawn, inside the image and not covered by another part.
        masks: ``(p, s, s)`` bool, the pixels that show a part at least partially.
        concepts: ``(m,)`` float32, whether each variant of each part is present.
    """

    image: Tensor
    points: Tensor
    visible: Tensor
    masks: Tensor
    concepts: Tensor


@register
class Shapes(ImageData):
    """Birds among background objects; each class is a combination of part variants that other classes share.

    Two classes differ in at least three of six parts, so no part alone determines the class. A scene is a function of
    (seed, split, index). Parts that can be removed exactly follow FunnyBirds (Hesse et al. 2023).

    With a spurious background each class has a color. In train and val a scene has the color of its class with
    probability 0.95, otherwise that of another class, uniformly; in test it has the color of any class, uniformly. A
    model that reads the background alone has an accuracy of 0.95 on val and of 1 / classes on test, and the effect of
    the shortcut is a gap between val and test. Pose, bird and objects are those of the random background.

    Args:
        classes: number of classes, 2 to 27.
        background: ``random`` or ``spurious``.
        damage: standard deviation of Gaussian noise on the pixels of all splits, as a share of white; 0 for none.
        n_train: number of training scenes.
        n_val: number of validation scenes.
        n_test: number of test scenes.
        size: side of the square images, in pixels.
        batch_size: images per batch on each rank.
        augment: augmentation policy of the training split.
        workers: number of loader processes.
        seed: random seed of the scenes, the order and the augmentation.
        limit: maximum number of samples of each split.
        missing_concepts: share of the concept annotations of the training split that are made unknown.
        missing_pattern: ``random``, or ``by_value``, less frequent values three times as often.
        wrong_concepts: share of the concept annotations of the training split that are replaced by another value.
        mean: mean of each channel, of x in [0, 1].
        std: standard deviation of each channel.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> from zoo.data import create_data
        >>> data = create_data("shapes", classes=2, n_train=2, n_val=2, n_test=2, size=32)
        >>> scene = data.render("test", 0, without=["beak"])
        >>> tuple(scene.image.shape), bool(scene.masks[data.part_names.index("beak")].any())
        ((3, 32, 32), False)
    """

    part_names = NAMES
    concepts = ConceptSchema(
        tuple(Concept(f"{part}: {v}", "categorical", part) for part, variants in VARIANTS.items() for v in variants),
        "true: what was drawn",
    )
    license = "made by zoo, no rights reserved"
    default_mean = default_std = (0.5, 0.5, 0.5)

    def __init__(
        self,
        *,
        classes: int = 8,
        background: Background = "random",
        damage: float = 0.0,
        n_train: int = 2000,
        n_val: int = 400,
        n_test: int = 800,
        size: int = 64,
        batch_size: int = 64,
        augment: Augment = "none",
        views: int = 1,
        workers: int = 0,
        seed: int = 0,
        limit: int | None = None,
        missing_concepts: float = 0.0,
        missing_pattern: MissingPattern = "random",
        wrong_concepts: float = 0.0,
        mean: list[float] | None = None,
        std: list[float] | None = None,
    ) -> None:
        super().__init__(
            size=size,
            batch_size=batch_size,
            augment=augment,
            views=views,
            workers=workers,
            val=0.0,
            seed=seed,
            limit=limit,
            missing_concepts=missing_concepts,
            missing_pattern=missing_pattern,
            wrong_concepts=wrong_concepts,
            mean=mean,
            std=std,
        )
        if not 2 <= classes <= 27:
            raise ValueError(f"data.classes is {classes}; expected 2 to 27")
        if background not in get_args(Background):
            raise ValueError(f"data.background is {background!r}; expected one of {', '.join(get_args(Background))}")
        if not 0 <= damage < 1:
            raise ValueError(f"data.damage is {damage}; expected at least 0 and below 1")
        self.background = background
        self.damage = damage
        self.counts = {"train": n_train, "val": n_val, "test": n_test}
        for name, n in self.counts.items():
            if n < classes:
                raise ValueError(f"data.n_{name} is {n}; expected at least one scene for each of {classes} classes")
        self.designs = [design(c) for c in range(classes)]

    @cached_property
    def class_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Variants of each class, such as ``rust plain short striped fan long``."""
        return tuple(" ".join(d.values()) for d in self.designs)

    def _read(self) -> dict[str, Split]:
        return {name: self._render_all(name) for name in SPLITS}

    def _render_all(self, name: str) -> Split:
        n = self.counts[name]
        n = n if self.limit is None else min(n, max(self.limit, len(self.designs)))
        drawn = [self._draw(name, i, self.designs[i % len(self.designs)]) for i in range(n)]
        images, points, visible = (np.stack(each) for each in zip(*((d[0], d[1], d[2]) for d in drawn), strict=True))
        y = torch.arange(n) % len(self.designs)
        return Split(
            names=[f"{name}/{i:05d}" for i in range(n)],
            y=y,
            pixels=Arrays(images, self.size),
            rows=torch.arange(n),
            concepts=torch.stack([_concepts(d) for d in self.designs])[y],
            points=torch.from_numpy(points),
            visible=torch.from_numpy(visible),
        )

    def _draw(self, split: str, index: int, variants: dict[str, str]) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng([self.seed, SPLITS.index(split), index])
        scene = pose(rng)
        if self.background == "spurious":
            scene = replace(scene, ground=hue(self.hinted_class(split, index), len(self.designs), rng))
        image, points, upper = draw(scene, variants, self.size)
        if self.damage:
            noise = np.random.default_rng([self.seed, SPLITS.index(split), index, 2]).normal(size=image.shape)
            image = (image + 255 * self.damage * noise).round().clip(0, 255).astype(np.uint8)
        at = np.floor(points * FINE).astype(int)
        inside = ((at >= 0) & (at < len(upper))).all(1)
        x, y = at.clip(0, len(upper) - 1).T
        return image, points, inside & (upper[y, x] == np.arange(len(NAMES)) + 1), upper

    def hinted_class(self, split: str, index: int) -> int:
        """Return the class whose color a spurious background has in a scene."""
        rng = np.random.default_rng([self.seed, SPLITS.index(split), index, 1])
        n = len(self.designs)
        if split == "test":
            return int(rng.integers(n))
        offset = 0 if rng.random() < HINT_RATE else int(rng.integers(1, n))
        return (index + offset) % n

    def render(self, split: SplitName, index: int, without: Sequence[str] = ()) -> Scene:
        """Return a scene, complete or without some parts; pixels outside the masks of those parts do not change.

        Args:
            split: ``train``, ``val`` or ``test``.
            index: position in the split.
            without: names of parts to leave out.

        Raises:
            ValueError: if the split, scene or part does not exist.
        """
        if split not in SPLITS or not 0 <= index < self.counts[split]:
            raise ValueError(f"no scene {index} in split {split!r}; expected one of {self.counts}")
        unknown = set(without) - set(NAMES)
        if unknown:
            raise ValueError(f"no part {min(unknown)!r}; expected {', '.join(NAMES)}")
        complete = self.designs[index % len(self.designs)]
        variants = {part: variant for part, variant in complete.items() if part not in without}
        image, points, visible, upper = self._draw(split, index, variants)
        shown = upper[None] == np.arange(1, len(NAMES) + 1, dtype=np.uint8)[:, None, None]
        masks = shown.reshape(len(NAMES), self.size, FINE, self.size, FINE).any((2, 4))
        return Scene(
            image=torch.tensor(image).permute(2, 0, 1).contiguous(),
            points=torch.from_numpy(points),
            visible=torch.from_numpy(visible),
            masks=torch.from_numpy(masks),
            concepts=_concepts(variants),
        )

    def scenes(self, split: SplitName) -> RenderedScenes:
        """Return the scenes of a split, to be rendered again without some parts."""
        return RenderedScenes(self, split)


class RenderedScenes:
    """Scenes of one split of ``Shapes`` as inputs of a model, complete or without some parts.

    Args:
        data: source of the scenes.
        split: name of the split.

    Attributes:
        same: ``(c, c, p)`` bool, whether two classes have the same variant of a part.
    """

    def __init__(self, data: Shapes, split: SplitName) -> None:
        self._data = data
        self._split: SplitName = split
        known = [sorted(set(design[name] for design in data.designs)) for name in data.part_names]
        code = torch.tensor(
            [[k.index(d[name]) for name, k in zip(data.part_names, known, strict=True)] for d in data.designs]
        )
        self.same = code[:, None] == code

    def render(self, index: int, without: Sequence[int] = ()) -> Tensor:
        """Return a scene ``(3, s, s)``, normalized, without the parts of these numbers."""
        data = self._data
        image = data.render(self._split, index, [data.part_names[p] for p in without]).image / 255
        mean, std = (torch.tensor(v)[:, None, None] for v in (data.mean, data.std))
        return (image - mean) / std

    def masks(self, index: int) -> Tensor:
        """Return the pixels ``(p, s, s)`` bool that show each part."""
        return self._data.render(self._split, index).masks


def design(number: int) -> dict[str, str]:
    """Return the variant of each part of one of 27 classes: words of a ternary code with distance 3 or more."""
    a, b, c = number % 3, number // 3 % 3, number // 9
    word = (a, b, a + b, a + 2 * b + c, a + c, b + c)
    return {part: list(VARIANTS[part])[letter % 3] for part, letter in zip(NAMES, word, strict=True)}


def _concepts(variants: dict[str, str]) -> Tensor:
    return torch.tensor([float(variants.get(part) == v) for part, each in VARIANTS.items() for v in each])
