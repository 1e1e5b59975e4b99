"""Weights of others: named tensors of a safetensors file, or of a file of torch, read without running its code."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

WRAPPERS = ("state_dict", "model_state_dict", "model")  # under which training scripts store the tensors
PREFIX = "module."  # of DataParallel


def read_state(file: Path) -> dict[str, Tensor]:
    """Return the named tensors of a file, on the CPU.

    A file of torch is read with ``weights_only``: its pickle may build tensors and plain containers, and nothing else.
    The tensors may be under ``state_dict``; the prefix of DataParallel is taken off.

    Args:
        file: ``.safetensors``, or any file that ``torch.save`` wrote.

    Raises:
        ValueError: if the file is missing or damaged, holds objects other than tensors, or no named tensors.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"state_dict": {"module.weight": torch.ones(2)}}, Path(folder) / "w.pth")
        ...     read_state(Path(folder) / "w.pth")
        {'weight': tensor([1., 1.])}
    """
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        content: Any = torch.load(file, weights_only=True, map_location="cpu")
    except FileNotFoundError as error:
        raise ValueError(f"{file} is missing") from error
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{file} holds objects other than tensors, whose loading would run code; where you trust it, write its"
            " tensors alone: torch.save(model.state_dict(), 'weights.pth')"
        ) from error
    except (OSError, RuntimeError, EOFError, KeyError, SafetensorError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file} cannot be read as weights ({' '.join(str(error).split())[:200]})") from error
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    named = isinstance(content, Mapping) and all(isinstance(key, str) for key in content)
    state = {key: value for key, value in content.items() if isinstance(value, Tensor)} if named else {}
    if not state:
        raise ValueError(f"{file} holds {type(content).__name__}; expected tensors by name, as of model.state_dict()")
    if all(key.startswith(PREFIX) for key in state):
        state = {key.removeprefix(PREFIX): value for key, value in state.items()}
    return state
