"""A batch of samples, as every data module yields it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """b samples. ``Batch.stack`` collates samples, which are Batches without the leading dimension.

    Attributes:
        x: ``(b, 3, s, s)`` normalized images, or the input of another kind of model.
        y: ``(b,)`` int64 class; None for samples without labels, from ``Inputs.read``.
        index: ``(b,)`` int64 position of each sample in its split: its identity for provenance, noise and bootstraps.
        concepts: ``(b, m)`` float true concepts, NaN where unknown.
        points: ``(b, p, 2)`` float64 part keypoints (x, y) in pixels of ``x``; they follow every geometric augmentation
            and may lie outside the image.
        visible: ``(b, p)`` bool, whether the annotator saw the part.
        views: ``(b, v, ...)`` further augmented views of ``x``, of the same geometry; None if there are none.

    Example:
        >>> sample = Batch(torch.zeros(4), torch.tensor(1), torch.tensor(0))
        >>> Batch.stack([sample, sample]).x.shape
        torch.Size([2, 4])
    """

    x: Tensor
    y: Tensor
    index: Tensor
    concepts: Tensor | None = None
    points: Tensor | None = None
    visible: Tensor | None = None
    views: Tensor | None = None

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Return the same batch on ``device``."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device, non_blocking=non_blocking) for k, v in moved.items() if v is not None})

    def pin_memory(self) -> Batch:
        """Return the same batch in page-locked memory."""
        return replace(
            self, **{f.name: v.pin_memory() for f in fields(self) if (v := getattr(self, f.name)) is not None}
        )

    @staticmethod
    def stack(samples: Sequence[Batch]) -> Batch:
        """Collate samples without a leading dimension."""
        first = samples[0]
        names = [f.name for f in fields(Batch) if getattr(first, f.name) is not None]
        stacked: dict[str, Any] = {name: torch.stack([getattr(s, name) for s in samples]) for name in names}
        return Batch(**{"y": None, **stacked})


def content_hash(x: Tensor) -> Tensor:
    """Return a 64-bit universal hash ``(b,)`` of each sample, independent of the rest of the batch.

    Example:
        >>> hashes = content_hash(torch.tensor([[1.0, 2.0], [1.0, 2.0], [2.0, 1.0]]))
        >>> bool(hashes[0] == hashes[1]), bool(hashes[0] == hashes[2])
        (True, False)
    """
    bits = x.float().contiguous().flatten(1).view(torch.int32).to(torch.int64)
    key = torch.arange(1, bits.shape[1] + 1, device=x.device, dtype=torch.int64) * -7046029254386353131
    key = (key ^ (key >> 29)) * -4658895280553007687 | 1
    return (bits * key).sum(1)
