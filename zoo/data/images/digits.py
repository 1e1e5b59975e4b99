"""Handwritten digits, 8 x 8 scans that come with scikit-learn, with landmarks found in the image itself."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from sklearn.datasets import load_digits
from torch import Tensor

from zoo.concept_schema import Concept, ConceptSchema
from zoo.data.images._augment import Augment
from zoo.data.images._image_data import ImageData
from zoo.data.images._pixels import Arrays
from zoo.data.split import Split, held_out
from zoo.registry import register

INK = 6  # of 16: a pixel at least this dark is ink

# What the numeral is by its shape as taught, digit by digit; the rest is by arithmetic or seen in the scan.
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
SEEN = ("has_hole", "two_holes", "wide")


@register
class Digits(ImageData):
    """1797 scans of handwritten digits (E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI).

    Scans are enlarged to ``size`` (bilinear). A fixed, stratified fifth is the test split, whatever the seed.

    Parts are landmarks of the ink (pixels of 6 of 16 or more): the first ink from each side (the darkest pixel of that
    row or column), the centroid, and the centres of up to two holes, the upper one first; a hole is background that the
    border does not reach, and is visible only where there is one.

    Concepts ``has_hole``, ``two_holes`` and ``wide`` (ink on at least 6 of 8 columns) are seen in the scan; all others
    are known from the numeral.

    Args:
        size: side of the square images, in pixels.
        batch_size: of one rank.
        augment: policy for training.
        common: the other arguments of ``ImageData``.
    """

    class_names = tuple("0123456789")
    part_names = ("top", "bottom", "left", "right", "centroid", "hole", "second_hole")
    concepts = ConceptSchema(
        tuple(map(Concept, (*NUMERAL, *SEEN))), f"{', '.join(SEEN)}: seen in the scan; the others: by the numeral"
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
        spots, visible, concepts = _annotated()
        every = Split(
            names=[f"digits/{i:04d}" for i in range(len(y))],
            y=y,
            pixels=Arrays((scans * 255 / 16).round().astype(np.uint8), self.size),
            rows=torch.arange(len(y)),
            concepts=concepts,
            points=spots * (self.size / 8),
            visible=visible,
        )
        test = held_out(y, 0.2, seed=0)
        return {"train": every.take((~test).nonzero()[:, 0]), "test": every.take(test.nonzero()[:, 0])}


def landmarks(scan: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of one scan.

    Args:
        scan: ``(h, w)`` darkness from 0 to 16.

    Returns:
        ``(7, 2)`` points (x, y) in pixels of the scan, whose first has its centre at (.5, .5), and ``(7,)`` visibility.
    """
    ink = np.where(scan >= INK, scan, 0)
    rows, columns = ink.any(1).nonzero()[0], ink.any(0).nonzero()[0]
    sides = [(ink[r].argmax(), r) for r in rows[[0, -1]]] + [(c, ink[:, c].argmax()) for c in columns[[0, -1]]]
    centre = ndimage.center_of_mass(ink)[::-1]
    areas, n = ndimage.label(np.pad(ink == 0, 1, constant_values=True))
    inside = [k for k in range(1, n + 1) if k != areas[0, 0]]
    largest = sorted(inside, key=lambda k: -(areas == k).sum())[:2]
    holes = sorted(ndimage.center_of_mass(areas == k) for k in largest)
    holes = [(x - 1, y - 1) for y, x in holes]  # the padding is one pixel wide
    points = np.zeros((7, 2))
    points[: 5 + len(holes)] = np.array([*sides, centre, *holes], float) + 0.5
    return points, np.arange(7) < 5 + len(holes)


@lru_cache
def _scans() -> tuple[np.ndarray, Tensor]:
    bunch = load_digits()
    return bunch.images, torch.from_numpy(bunch.target).long()


@lru_cache
def _annotated() -> tuple[Tensor, Tensor, Tensor]:
    scans, y = _scans()
    found = [landmarks(scan) for scan in scans]
    points, visible = (torch.from_numpy(np.stack(each)) for each in zip(*found, strict=True))
    wide = torch.from_numpy((scans >= INK).any(1).sum(1) >= 6)
    known = [torch.isin(y, torch.tensor(sorted(digits))) for digits in NUMERAL.values()]
    return points, visible, torch.stack([*known, visible[:, 5], visible[:, 6], wide], 1).float()
