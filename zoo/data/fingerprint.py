"""A short hash of data, which says whether two runs had the same samples."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch

from zoo.data.split import Split

CHUNK = 1 << 16  # samples hashed at a time


def fingerprint_of(splits: Mapping[str, Split]) -> str:
    """Return twelve hexadecimal digits that depend on labels, names, annotations, images and the division.

    The bytes of every image in use are read but not decoded.
    """
    digest = hashlib.sha256()
    for name, split in sorted(splits.items()):
        digest.update(name.encode())
        for i in range(0, len(split), CHUNK):
            names = (split.names[k] for k in range(i, min(i + CHUNK, len(split))))
            digest.update("".join(f"\n{name}" for name in names).encode())
        tensors = (
            *(split.y, split.rows, split.points, split.visible, split.concepts, split.x, split.lengths),
            *(split.weight, split.group, split.time),
        )
        for part in (part for tensor in tensors if tensor is not None for part in tensor.split(CHUNK)):
            digest.update(part.numpy().tobytes())
    for source in {id(s.pixels): s.pixels for s in splits.values() if s.pixels is not None}.values():
        used = [s.rows for s in splits.values() if s.pixels is source and s.rows is not None]
        rows = torch.cat(used).sort().values
        for content in source.content(rows.tolist()):
            digest.update(content)
    for _, split in sorted(splits.items()):
        if split.masks is not None and split.rows is not None:
            for content in split.masks.content(split.rows.tolist()):
                digest.update(content)
    return digest.hexdigest()[:12]
