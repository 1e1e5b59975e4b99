"""Sentence vectors of a frozen encoder by the hash of the text, in memory and on disk."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from hashlib import blake2b
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

MIN_ROWS = 32  # new vectors of a call that are worth a file
MAX_ROWS = 200_000  # vectors kept in memory
LIMIT = 2 << 30  # bytes of the files of one folder; the oldest are removed first
KEY = 16  # bytes of a hash


class StateStore:
    """Vectors ``(d,)`` by the codes of a text; files of earlier runs are read when the first vector is asked for.

    Args:
        folder: is created when the first file is written; one folder for each encoder and pooling.

    Example:
        >>> import tempfile
        >>> store = StateStore(Path(tempfile.mkdtemp()) / "states")
        >>> codes = torch.tensor([[4, 5, -1]])
        >>> store.get(codes)[0] is None
        True
        >>> store.put(codes, torch.ones(1, 2))
        >>> store.get(codes)[0].tolist()
        [1.0, 1.0]
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: OrderedDict[bytes, Tensor] | None = None

    def get(self, codes: Tensor) -> list[Tensor | None]:
        """Return the vector of each of the texts ``(b, t)``, None where it is not known."""
        rows = self._read()
        return [rows.get(key) for key in keys_of(codes)]

    def put(self, codes: Tensor, vectors: Tensor) -> None:
        """Keep the vectors ``(b, d)`` of texts ``(b, t)``; on disk too where they are many."""
        rows = self._read()
        keys = keys_of(codes)
        vectors = vectors.detach().float().cpu().contiguous()
        rows.update(zip(keys, vectors.clone(), strict=True))
        while len(rows) > MAX_ROWS:
            rows.popitem(last=False)
        if len(keys) < MIN_ROWS:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            packed = torch.frombuffer(bytearray(b"".join(keys)), dtype=torch.uint8).view(-1, KEY)
            file = self.folder / f"{time.time_ns()}-{os.getpid()}.safetensors"
            save_file({"keys": packed, "vectors": vectors}, file.with_suffix(".part"))
            os.replace(file.with_suffix(".part"), file)
            self._remove_oldest()
        except OSError:
            return  # a full disk costs time, not the run

    def _read(self) -> OrderedDict[bytes, Tensor]:
        if self._rows is None:
            self._rows = OrderedDict()
            for file in sorted(self.folder.glob("*.safetensors")):
                try:
                    tensors = load_file(file)
                except (OSError, SafetensorError):
                    continue
                data = tensors["keys"].numpy().tobytes()
                keys = [data[i : i + KEY] for i in range(0, len(data), KEY)]
                self._rows.update(zip(keys, tensors["vectors"], strict=True))
        return self._rows

    def _remove_oldest(self) -> None:
        files = sorted(self.folder.glob("*.safetensors"))
        total = sum(file.stat().st_size for file in files)
        for file in files[:-1]:
            if total <= LIMIT:
                return
            total -= file.stat().st_size
            file.unlink(missing_ok=True)


def keys_of(codes: Tensor) -> list[bytes]:
    """Return a hash of each of the texts ``(b, t)``; padding at the end does not change it."""
    lengths = (codes >= 0).sum(1).tolist()
    rows = codes.cpu().to(torch.int64).numpy()
    return [blake2b(row[:n].tobytes(), digest_size=KEY).digest() for row, n in zip(rows, lengths, strict=True)]
