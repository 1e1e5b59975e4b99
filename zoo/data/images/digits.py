"""Handwritten digits, 8 x 8 scans included in scikit-learn, with landmarks computed from the scans."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from zoo.concept_schema import Concept, ConceptSchema
from zoo.data.images._augment import Augment
from zoo.data.images._image_data import ImageData
from zoo.data.images._pixels import Arrays
from zoo.data.split import Split, stratified_holdout
from zoo.registry import register

INK = 6  # minimum darkness, of 16, of a pixel of ink

# Concepts known from the numeral: the digits for which each is true.
NUMERAL: dict[str, set[int]] = {
    "is_even": {0, 2, 4, 6, 8},
    "is_prime": {2, 3, 5, 7},
    "five_or_more": {5, 6, 7, 8, 9},
    "loop_above": {8, 9},
    "loop_below": {6, 8},
    "one_big_loop": {0},
    "straight_strokes": {1, 4, 7},
    "flat_top": {5, 7},
    "flat_base": {2},
}
FROM_SCAN = ("has_hole", "two_holes", "wide")


@register
class Digits(ImageData):
    """1797 scans of handwritten digits (E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI).

    Scans are enlarged to ``size`` (bilinear). The test split is a stratified fifth, the same for every seed.

    Parts are landmarks of the ink (pixels with a darkness of at least 6 of 16): the first ink from each side (the
    darkest pixel of that row or column), the centroid, and the centers of up to two holes, the upper one first. A hole
    is background that is not connected to the border; its part is visible only if the scan has one.

    Concepts ``has_hole``, ``two_holes`` and ``wide`` (ink in at least 6 of 8 columns) are computed from the scan; all
    others are known from the numeral.

    Args:
        size: side of the square images, in pixels.
        batch_size: images per batch on each rank.
        augment: augmentation policy of the training split.
        common: other arguments of ``ImageData``.

    Example:
        >>> from zoo.data import create_data
        >>> data = create_data("digits", size=16, batch_size=8)
        >>> tuple(next(iter(data.loader("test"))).x.shape), len(data.splits["test"])
        ((8, 3, 16, 16), 359)
    """

    class_names = tuple("0123456789")
    part_names = ("top", "bottom", "left", "right", "centroid", "hole", "second_hole")
    concepts = ConceptSchema(
        tuple(map(Concept, (*NUMERAL, *FROM_SCAN))),
        f"{', '.join(FROM_SCAN)}: seen in the scan; the others: by the numeral",
    )
    license = "CC BY 4.0 (UCI)"
    default_mean = default_std = (0.5, 0.5, 0.5)

    def __init__(
        self,
        *,
        size: int = 32,
        batch_size: int = 64,
        augment: Augment = "shift",
        **common: Any,
    ) -> None:
        super().__init__(size=size, batch_size=batch_size, augment=augment, **common)

    def _read(self) -> dict[str, Split]:
        scans, y = _scans()
        points, visible, concepts = _annotated()
        samples = Split(
            names=[f"digits/{i:04d}" for i in range(len(y))],
            y=y,
            pixels=Arrays((scans * 255 / 16).round().astype(np.uint8), self.size),
            rows=torch.arange(len(y)),
            concepts=concepts,
            points=points * (self.size / 8),
            visible=visible,
        )
        test = stratified_holdout(y, 0.2, seed=0)
        return {"train": samples.take((~test).nonzero()[:, 0]), "test": samples.take(test.nonzero()[:, 0])}


def landmarks(scan: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the landmarks of one scan.

    Args:
        scan: ``(h, w)`` darkness from 0 to 16.

    Returns:
        ``(7, 2)`` points (x, y) in pixels of the scan, the center of the first pixel being (0.5, 0.5), and visibility
        ``(7,)`` bool.
    """
    ink = np.where(scan >= INK, scan, 0)
    rows = np.flatnonzero(ink.any(1))
    columns = np.flatnonzero(ink.any(0))
    sides = [(ink[r].argmax(), r) for r in rows[[0, -1]]] + [(c, ink[:, c].argmax()) for c in columns[[0, -1]]]
    center = ndimage.center_of_mass(ink)[::-1]
    labeled: Any = ndimage.label(np.pad(ink == 0, 1, constant_values=True))
    areas, n = labeled
    inside = [k for k in range(1, n + 1) if k != areas[0, 0]]
    largest = sorted(inside, key=lambda k: -(areas == k).sum())[:2]
    centers: list[Any] = sorted(ndimage.center_of_mass(areas == k) for k in largest)
    holes = [(x - 1, y - 1) for y, x in centers]  # the padding is one pixel wide
    points = np.zeros((7, 2))
    points[: 5 + len(holes)] = np.array([*sides, center, *holes], float) + 0.5
    return points, np.arange(7) < 5 + len(holes)


@lru_cache
def _scans() -> tuple[np.ndarray, Tensor]:
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    return bunch.images, torch.from_numpy(bunch.target).long()


@lru_cache
def _annotated() -> tuple[Tensor, Tensor, Tensor]:
    scans, y = _scans()
    points, visible = (torch.from_numpy(np.stack(each)) for each in zip(*map(landmarks, scans), strict=True))
    wide = torch.from_numpy((scans >= INK).any(1).sum(1) >= 6)
    known = [torch.isin(y, torch.tensor(sorted(digits))) for digits in NUMERAL.values()]
    return points, visible, torch.stack([*known, visible[:, 5], visible[:, 6], wide], 1).float()
