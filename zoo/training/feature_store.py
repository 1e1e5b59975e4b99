"""Cached features on disk: one file for each pass over a split, named by a hash of everything that they depend on."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

FORMAT = 1  # of the files


class FeatureStore:
    """A folder of features of at most ``limit`` bytes; the files that were not used for longest are removed first.

    A pass that was computed before is read instead of computed again, by any run whose frozen layers, data and
    augmentation are the same; so an interrupted run continues with the passes that it has.

    Args:
        folder: is created when the first file is written.
        limit: of all files together, in bytes; 0 stores nothing.

    Example:
        >>> FeatureStore(Path("features"), limit=0).get("0123") is None
        True
    """

    def __init__(self, folder: Path, *, limit: int) -> None:
        self.folder = folder
        self.limit = limit

    def get(self, key: str) -> dict[str, Tensor] | None:
        """Return the tensors of a key; None if there are none, or if their file is damaged."""
        file = self._file(key)
        if not self.limit or not file.is_file():
            return None
        try:
            tensors = load_file(file)
        except (OSError, SafetensorError):
            return None
        _mark_as_used(file)
        return tensors

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Store the tensors of a key, unless they are larger than the limit, and remove old files beyond it."""
        if sum(tensor.nbytes for tensor in tensors.values()) > self.limit:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self._file(key)
        part = file.with_suffix(f".{os.getpid()}.part")
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part)
        _mark_as_used(part)
        os.replace(part, file)
        self._remove_oldest(file)

    def _remove_oldest(self, kept: Path) -> None:
        used = {}
        for file in self.folder.glob("*.safetensors"):
            try:
                used[file] = file.stat()
            except FileNotFoundError:  # another run has removed it
                continue
        total = sum(stat.st_size for stat in used.values())
        for file in sorted(used, key=lambda file: used[file].st_mtime_ns):
            if total <= self.limit:
                return
            if file != kept:
                file.unlink(missing_ok=True)
                total -= used[file].st_size

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"


def _mark_as_used(file: Path) -> None:
    now = time.time_ns()  # finer than the clock of the file system
    os.utime(file, ns=(now, now))


def feature_key(modules: nn.Module, facts: Mapping[str, Any], inputs: Tensor) -> str:
    """Return 32 hexadecimal digits that depend on the weights of frozen layers, facts about the pass and some inputs.

    Args:
        modules: the frozen layers, weights and structure.
        facts: what else the features depend on, as JSON.
        inputs: some of the inputs of the pass, as a check of the rest.
    """
    digest = hashlib.sha256(json.dumps([FORMAT, torch.__version__, repr(modules), facts], sort_keys=True).encode())
    for name, tensor in sorted({**dict(modules.named_parameters()), **dict(modules.named_buffers())}.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    digest.update(inputs.contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
