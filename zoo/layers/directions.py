"""Units as directions of a space: what they are, and in which space, so that only those of one space are compared."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def space_of(*modules: nn.Module) -> str:
    """The space that modules compute: equal if and only if their weights and running statistics are, bit for bit."""
    digest = hashlib.sha256()
    for module in modules:
        for name, value in module.state_dict().items():
            if not name.endswith("num_batches_tracked"):  # says how long was trained, not what is computed
                digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
                digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return f"features {digest.hexdigest()[:12]}"
