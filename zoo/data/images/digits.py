"""Handwritten digits, 8 x 8 scans included in scikit-learn, with landmarks computed from the scans."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from zoo.concept_schema import Concept, ConceptSchema
from zoo.data.image_data import ImageData
from zoo.data.images._augment.policy import Augment
from zoo.data.images._pixel_sources import Arrays
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
        common: other arguments of ``zoo.data.image_data.ImageData``.

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


def landmarks(scans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the landmarks of scans.

    Args:
        scans: ``(n, h, w)`` darkness from 0 to 16, each with ink.

    Returns:
        ``(n, 7, 2)`` points (x, y) in pixels of the scan, the center of the first pixel being (0.5, 0.5), and
        visibility ``(n, 7)`` bool.

    Example:
        >>> scan = np.zeros((1, 8, 8))
        >>> scan[0, 2, 3:6] = 16
        >>> landmarks(scan)[0][0, :5].tolist()  # top, bottom, left, right, centroid
        [[3.5, 2.5], [3.5, 2.5], [3.5, 2.5], [5.5, 2.5], [4.5, 2.5]]
    """
    n, height, width = scans.shape
    each = np.arange(n)
    ink = np.where(scans >= INK, scans, 0)
    in_row = (ink > 0).max(2)
    in_column = (ink > 0).max(1)
    top = in_row.argmax(1)
    bottom = height - 1 - in_row[:, ::-1].argmax(1)
    left = in_column.argmax(1)
    right = width - 1 - in_column[:, ::-1].argmax(1)
    total = ink.sum((1, 2))
    points = np.zeros((n, 7, 2))
    points[:, 0] = np.stack([ink[each, top].argmax(1), top], 1)
    points[:, 1] = np.stack([ink[each, bottom].argmax(1), bottom], 1)
    points[:, 2] = np.stack([left, ink[each, :, left].argmax(1)], 1)
    points[:, 3] = np.stack([right, ink[each, :, right].argmax(1)], 1)
    points[:, 4] = np.stack([ink.sum(1) @ np.arange(width) / total, ink.sum(2) @ np.arange(height) / total], 1)
    points[:, 5:], holes = _holes(ink)
    points[:, :5] += 0.5
    return points, np.arange(7) < 5 + holes[:, None]


def _holes(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return centers ``(n, 2, 2)`` of the two largest holes of each scan, the upper one first, and how many there are.

    Args:
        ink: ``(n, h, w)``, 0 where there is none.
    """
    padded = np.pad(ink == 0, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    in_plane = np.zeros((3, 3, 3), bool)  # scans are not connected with each other
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    labeled: Any = ndimage.label(padded, in_plane)
    areas, count = labeled
    scan, y, x = areas.nonzero()
    area = areas[scan, y, x]
    size = np.bincount(area, minlength=count + 1)
    scan_of = np.zeros(count + 1, int)
    scan_of[area] = scan
    centers = np.stack([np.bincount(area, at, count + 1) / size.clip(1) for at in (y, x)], 1)
    inside = np.setdiff1d(np.arange(1, count + 1), areas[:, 0, 0])  # the padding belongs to the background outside
    largest = inside[np.lexsort((inside, -size[inside], scan_of[inside]))]
    largest = largest[_rank(scan_of[largest]) < 2]
    upper = largest[np.lexsort((centers[largest, 1], centers[largest, 0], scan_of[largest]))]
    points = np.zeros((len(ink), 2, 2))
    points[scan_of[upper], _rank(scan_of[upper])] = centers[upper, ::-1] - 1 + 0.5  # the padding is one pixel wide
    return points, np.bincount(scan_of[upper], minlength=len(ink))


def _rank(group: np.ndarray) -> np.ndarray:
    """Return the rank of each entry within its group; the groups are sorted."""
    return np.arange(len(group)) - np.searchsorted(group, group)


@lru_cache
def _scans() -> tuple[np.ndarray, Tensor]:
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    return bunch.images, torch.from_numpy(bunch.target).long()


@lru_cache
def _annotated() -> tuple[Tensor, Tensor, Tensor]:
    scans, y = _scans()
    points, visible = map(torch.from_numpy, landmarks(scans))
    wide = torch.from_numpy((scans >= INK).any(1).sum(1) >= 6)
    known = [torch.isin(y, torch.tensor(sorted(digits))) for digits in NUMERAL.values()]
    return points, visible, torch.stack([*known, visible[:, 5], visible[:, 6], wide], 1).float()
