"""Checks of the weights of a checkpoint: the hash of the file, and the names, types and shapes of its tensors."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".sha256"  # beside a file, in the format of sha256sum
MAX_HEADER = 100 << 20  # bytes, as in safetensors
LINE = re.compile(r"([0-9a-f]{64})  (\S+)\n?")


def file_hash(file: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_hash(file: Path) -> Path:
    """Write the hash of a file beside it; ``sha256sum -c`` reads it too."""
    side = file.with_name(file.name + SUFFIX)
    side.write_text(f"{file_hash(file)}  {file.name}\n", encoding="ascii")
    return side


def check_hash(file: Path) -> None:
    """Compare a file with the hash beside it; a file of an earlier version of zoo has none.

    It detects damage, not tampering: who changes the file can change its hash.

    Raises:
        ValueError: if the hash is another one, or the file of the hash is damaged.
    """
    side = file.with_name(file.name + SUFFIX)
    if not side.is_file():
        return
    match = LINE.fullmatch(side.read_bytes()[:1000].decode("ascii", "replace"))
    if match is None or match[2] != file.name:
        raise ValueError(f"{side} is damaged; expected a hash and {file.name}; restore both files from a copy")
    if match[1] != file_hash(file):
        raise ValueError(f"{file} is damaged: its SHA-256 is not that of {side.name}; restore it from a copy")


def count_tensors(file: Path) -> int:
    """Return the number of tensors that the header of a safetensors file names.

    Raises:
        ValueError: if it has no such header.
    """
    try:
        with file.open("rb") as stream:
            (size,) = struct.unpack("<Q", stream.read(8))
            if size > MAX_HEADER:
                raise ValueError(f"a header of {size} bytes")
            header = json.loads(stream.read(size))
        return len([name for name in header if name != "__metadata__"])
    except (OSError, ValueError, TypeError, RecursionError, struct.error) as error:
        raise ValueError(f"{file} is not a safetensors file ({' '.join(str(error).split())})") from error


def check_types(state: Mapping[str, Tensor], own: Mapping[str, Any], where: str) -> None:
    """Check that tensors have the types of those of a model.

    Args:
        state: tensors by name, about to be loaded.
        own: the tensors of the model.
        where: what holds ``state``, for the error.

    Raises:
        ValueError: naming the first tensor of another type.
    """
    for name, tensor in state.items():
        if name in own and tensor.dtype != own[name].dtype:
            types = [str(t.dtype).removeprefix("torch.") for t in (tensor, own[name])]
            raise ValueError(f"{where}: tensor {name} is {types[0]}; the model of config.yaml has {types[1]}")


def tensor_hash(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors: names, types, shapes and bits, whatever file they are in.

    Args:
        state: tensors by name, such as ``model.state_dict()``.

    Example:
        >>> import torch
        >>> one, two = torch.tensor([0.0]), torch.tensor([-0.0])
        >>> [tensor_hash({"a": one}) == tensor_hash({"a": other}) for other in (one.clone(), two)]
        [True, False]
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}\n{tensor.dtype} {tuple(tensor.shape)}\n".encode("utf-8", "surrogatepass"))
        digest.update(bits(tensor).numpy().tobytes())
    return digest.hexdigest()


def bits(tensor: Tensor) -> Tensor:
    """Return the bytes ``(n,)`` uint8 of a tensor: 0.0 and -0.0 differ.

    Example:
        >>> import torch
        >>> bits(torch.tensor([1], dtype=torch.int16)).tolist()
        [1, 0]
    """
    from torch import uint8

    return tensor.detach().cpu().contiguous().reshape(-1).view(uint8)
