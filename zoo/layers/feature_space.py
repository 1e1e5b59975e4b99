"""Identity of a feature space, so that only directions of one space are compared."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def space_of(*modules: nn.Module) -> str:
    """Return a hash of the space that modules compute: equal only if weights and running statistics are bit-identical.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> space_of(layer) == space_of(layer), space_of(layer) == space_of(nn.Linear(2, 2))
        (True, False)
    """
    digest = hashlib.sha256()
    for module in modules:
        for name, value in module.state_dict().items():
            if not name.endswith("num_batches_tracked"):  # depends on the length of training, not on the function
                digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
                digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return f"features {digest.hexdigest()[:12]}"
