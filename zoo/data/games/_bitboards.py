"""Boards of 64 squares stored as 64-bit words."""

from __future__ import annotations

import numpy as np


def squares(boards: np.ndarray) -> np.ndarray:
    """Return the bits ``(..., 64)`` bool of boards ``(...)`` uint64; square i is bit i."""
    return (boards[..., None] >> np.arange(64, dtype=np.uint64) & np.uint64(1)).astype(bool)
