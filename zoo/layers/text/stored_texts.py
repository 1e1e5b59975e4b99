"""Texts as tensors, so that they are saved, resumed and loaded with the weights of a model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pack_texts(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return the UTF-8 bytes ``(n,)`` uint8 of u texts one after another, and the end ``(u,)`` of each.

    Example:
        >>> unpack_texts(*pack_texts(["fine", "", "très bon"]))
        ['fine', '', 'très bon']
    """
    rows = [text.encode("utf-8", "surrogatepass") for text in texts]
    data = torch.tensor(list(b"".join(rows)), dtype=torch.uint8)
    return data, torch.tensor([len(row) for row in rows], dtype=torch.int64).cumsum(0)


def unpack_texts(data: Tensor, ends: Tensor) -> list[str]:
    """Return the u texts of bytes ``(n,)`` uint8 and their ends ``(u,)``; what is no UTF-8 is replaced."""
    raw = bytes(data.cpu().tolist())
    stops = ends.cpu().tolist()
    return [raw[a:b].decode("utf-8", "replace") for a, b in zip([0, *stops[:-1]], stops, strict=True)]
