"""Rendered creatures of which everything is known: parts, keypoints, masks, concepts; any part can be left out."""

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
from zoo.data.images._augment import Augment
from zoo.data.images._image_data import ImageData
from zoo.data.images._pixels import Arrays
from zoo.data.images._rendered import Rendered
from zoo.data.images._shapes_draw import FINE, NAMES, VARIANTS, draw, hue, pose
from zoo.data.split import Split
from zoo.registry import register

SPLITS = ("train", "val", "test")
Background = Literal["random", "spurious"]
TELLING = 0.95


@dataclass(frozen=True)
class Scene:
    """One rendered scene.

    Attributes:
        image: ``(3, s, s)`` uint8.
        points: ``(p, 2)`` float64 keypoints in pixels.
        visible: ``(p,)`` bool: drawn, inside the image and under no other part.
        masks: ``(p, s, s)`` bool: the pixels that show any of the part.
        concepts: ``(m,)`` float32: whether each variant of each part is there.
    """

    image: Tensor
    points: Tensor
    visible: Tensor
    masks: Tensor
    concepts: Tensor


@register
class Shapes(ImageData):
    """Bird-like creatures among background objects; each class is a combination of part variants that others share.

    Two classes differ in at least three of six parts, so no part alone tells the class. A scene is a function of (seed,
    split, index). The idea of parts that can be removed exactly is that of FunnyBirds (Hesse et al. 2023).

    With a spurious background each class has a colour. In train and val a scene has the colour of its own class with
    probability .95, else that of another class, each equally likely; in test it has that of any class, each equally
    likely, whatever its own. So a model that reads the background alone is right in .95 of val and in 1 / classes of
    test, and what a model gains by the shortcut is a gap between val and test. Pose, creature and objects are those of
    the random background.

    Args:
        classes: number of classes, 2 to 27.
        background: random, or spurious.
        n_train: number of training scenes; and so on.
        n_val: validation scenes.
        n_test: test scenes.
        size: side of the square images, in pixels.
        batch_size: of one rank.
        augment: policy for training.
        workers: processes that load.
        seed: of the scenes, the order and the augmentation.
        limit: use only so many samples of each split.
        mean: per channel, of x in [0, 1].
        std: per channel.

    Raises:
        ValueError: if an argument is out of range.
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
        n_train: int = 2000,
        n_val: int = 400,
        n_test: int = 800,
        size: int = 64,
        batch_size: int = 64,
        augment: Augment = "none",
        workers: int = 0,
        seed: int = 0,
        limit: int | None = None,
        mean: list[float] | None = None,
        std: list[float] | None = None,
    ) -> None:
        super().__init__(
            size=size,
            batch_size=batch_size,
            augment=augment,
            workers=workers,
            val=0.0,
            seed=seed,
            limit=limit,
            mean=mean,
            std=std,
        )
        if not 2 <= classes <= 27:
            raise ValueError(f"data.classes is {classes}; expected 2 to 27")
        if background not in get_args(Background):
            raise ValueError(f"data.background is {background!r}; expected one of {', '.join(get_args(Background))}")
        self.background = background
        self.counts = {"train": n_train, "val": n_val, "test": n_test}
        for name, n in self.counts.items():
            if n < classes:
                raise ValueError(f"data.n_{name} is {n}; expected at least one scene for each of {classes} classes")
        self.designs = [design(c) for c in range(classes)]

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Each class by its variants, such as ``rust plain short striped fan long``."""
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
            scene = replace(scene, ground=hue(self.hinted(split, index), len(self.designs), rng))
        image, points, upper = draw(scene, variants, self.size)
        at = np.floor(points * FINE).astype(int)
        inside = ((at >= 0) & (at < len(upper))).all(1)
        x, y = at.clip(0, len(upper) - 1).T
        return image, points, inside & (upper[y, x] == np.arange(len(NAMES)) + 1), upper

    def hinted(self, split: str, index: int) -> int:
        """The class whose colour the background of a scene has, if it is spurious."""
        rng = np.random.default_rng([self.seed, SPLITS.index(split), index, 1])
        n = len(self.designs)
        if split == "test":
            return int(rng.integers(n))
        away = 0 if rng.random() < TELLING else int(rng.integers(1, n))
        return (index + away) % n

    def render(self, split: SplitName, index: int, without: Sequence[str] = ()) -> Scene:
        """Draw a scene again, as it is or with parts left out; pixels outside the masks of those parts stay the same.

        Args:
            split: ``train``, ``val`` or ``test``.
            index: position in the split.
            without: names of parts to leave out.

        Raises:
            ValueError: if there is no such split, scene or part.
        """
        if split not in SPLITS or not 0 <= index < self.counts[split]:
            raise ValueError(f"no scene {index} in split {split!r}; expected one of {self.counts}")
        if unknown := set(without) - set(NAMES):
            raise ValueError(f"no part {min(unknown)!r}; expected any of {', '.join(NAMES)}")
        whole = self.designs[index % len(self.designs)]
        variants = {part: variant for part, variant in whole.items() if part not in without}
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

    def scenes(self, split: SplitName) -> Rendered:
        """A split whose scenes can be rendered again without parts, for scores that take parts away."""
        return Rendered(self, split)


def design(number: int) -> dict[str, str]:
    """The variant of each part in one of 27 classes: words of a ternary code, any two differ in 3 places or more."""
    a, b, c = number % 3, number // 3 % 3, number // 9
    word = (a, b, a + b, a + 2 * b + c, a + c, b + c)
    return {part: list(VARIANTS[part])[letter % 3] for part, letter in zip(NAMES, word, strict=True)}


def _concepts(variants: dict[str, str]) -> Tensor:
    return torch.tensor([float(variants.get(part) == v) for part, each in VARIANTS.items() for v in each])
