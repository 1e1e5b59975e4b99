"""Scenes of a split that can be rendered again without some of their parts, as inputs of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from zoo.data.base import SplitName
    from zoo.data.images.shapes import Shapes


class Rendered:
    """One split of ``Shapes``.

    Args:
        data: source of the scenes.
        split: which.

    Attributes:
        same: ``(c, c, p)`` bool, whether two classes have the same variant of a part.
    """

    def __init__(self, data: Shapes, split: SplitName) -> None:
        self._data, self._split = data, split
        known = [sorted(set(design[name] for design in data.designs)) for name in data.part_names]
        code = torch.tensor(
            [[k.index(d[name]) for name, k in zip(data.part_names, known, strict=True)] for d in data.designs]
        )
        self.same = code[:, None] == code

    def render(self, index: int, without: Sequence[int] = ()) -> Tensor:
        """A scene ``(3, s, s)``, normalised, with the parts of these numbers left out."""
        data = self._data
        image = data.render(self._split, index, [data.part_names[p] for p in without]).image / 255
        mean, std = (torch.tensor(v)[:, None, None] for v in (data.mean, data.std))
        return (image - mean) / std

    def masks(self, index: int) -> Tensor:
        """Pixels ``(p, s, s)`` bool that show each part."""
        return self._data.render(self._split, index).masks
