"""A batch of samples, as every data module yields it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """b samples. ``Batch.stack`` collates samples, which are Batches without the leading dimension.

    Attributes:
        x: ``(b, 3, s, s)`` normalized images, or the input of another kind of model.
        y: ``(b,)`` int64 class, ``(b,)`` float32 number or ``(b, l)`` float32 labels; None for samples without. Read it
            through ``targets`` where it is needed.
        index: ``(b,)`` int64 position of each sample in its split: its identity for provenance, noise and bootstraps.
        concepts: ``(b, m)`` float true concepts, NaN where unknown.
        points: ``(b, p, 2)`` float64 part keypoints (x, y) in pixels of ``x``; they follow every geometric augmentation
            and may lie outside the image.
        visible: ``(b, p)`` bool, whether the annotator saw the part.
        masks: ``(b, p, s, s)`` bool, whether each pixel belongs to the part; None without masks, and in batches that
            are augmented.
        views: ``(b, v, ...)`` further augmented views of ``x``, of the same geometry; None if there are none.
        weight: ``(b,)`` float32 weight of each sample in the loss; None for equal ones.
        sequence: ``(b,)`` int64 sequence of the split that each sample is a part of, such as a word of a sentence; the
            parts of one sequence are in the order of ``index``. None if each sample is one of its own. Bootstraps draw
            whole sequences, and the null ``shift`` stays inside them.

    Example:
        >>> sample = Batch(torch.zeros(4), torch.tensor(1), torch.tensor(0))
        >>> Batch.stack([sample, sample]).x.shape
        torch.Size([2, 4])
    """

    x: Tensor
    y: Tensor | None
    index: Tensor
    concepts: Tensor | None = None
    points: Tensor | None = None
    visible: Tensor | None = None
    masks: Tensor | None = None
    views: Tensor | None = None
    weight: Tensor | None = None
    sequence: Tensor | None = None

    @property
    def targets(self) -> Tensor:
        """``y``, for whoever cannot do without it.

        Raises:
            ValueError: if the samples have no targets.
        """
        if self.y is None:
            raise ValueError("the batch has no targets (y is None); expected samples with the class or value to learn")
        return self.y

    @property
    def weights(self) -> Tensor:
        """Weight ``(b,)`` of each sample, 1 where none is given."""
        return torch.ones(len(self), device=self.x.device) if self.weight is None else self.weight

    @classmethod
    def of(cls, batch: Any) -> Batch:
        """Return what a loader yields as a ``Batch``: a batch as it is, ``(x, y)``, ``{"x": x, "y": y}`` or ``x``.

        Raises:
            ValueError: if it is something else.

        Example:
            >>> Batch.of((torch.zeros(2, 4), torch.tensor([0, 1]))).index.tolist()
            [0, 1]
        """
        if isinstance(batch, Batch):
            return batch
        names = {"x", "y", "index", "concepts", "weight", "views", "sequence"}
        given: dict[str, Tensor]
        if isinstance(batch, Mapping) and "x" in batch and names.issuperset(batch):
            given = dict(batch)
        elif isinstance(batch, Tensor):
            given = {"x": batch}
        elif isinstance(batch, Sequence) and len(batch) == 2 and all(isinstance(part, Tensor) for part in batch):
            given = dict(zip(("x", "y"), batch, strict=True))
        else:
            raise ValueError(
                f"a loader yields {type(batch).__name__}; expected zoo.Batch, (x, y), or a mapping with x and y"
            )
        index = torch.arange(len(given["x"]), device=given["x"].device)
        return Batch(**{"y": None, "index": index, **given})

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device | str) -> Batch:
        """Return the same batch on ``device``; page-locked memory is copied while the device computes."""
        if self.x.device == (torch.device(device) if isinstance(device, str) else device):
            return self
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device, non_blocking=v.is_pinned()) for k, v in moved.items() if v is not None})

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
