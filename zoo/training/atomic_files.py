"""Files of a run: written whole or not at all, and read only if they are what a run wrote."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from zoo.weights.tensors import check_finite


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place, then rename it there; on an error its former content stays."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # renamed before its content is on disk, the file could be empty after a power cut
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


class WholeCheckpoint(TorchCheckpointIO):
    """Writes Lightning's checkpoint of a running phase whole or not at all, and with finite tensors alone."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            ValueError: if a tensor is not finite; the former checkpoint stays.
        """
        remedy = "lower the learning rates or set phases.<name>.clip; the former checkpoint was kept"
        check_finite(_tensors(checkpoint), f"{path} is not written", remedy)
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_whole(Path(path), content.getvalue())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Return a checkpoint of plain values.

        Raises:
            ValueError: if the file is damaged, inflates, or holds a tensor that is not finite.
        """
        return read_running(Path(path))


def read_running(file: Path) -> dict[str, Any]:
    """Return Lightning's checkpoint of a running phase.

    Raises:
        ValueError: if the file is damaged, inflates, or holds a tensor that is not finite.
    """
    start_again = "remove it to repeat the phase"
    try:
        with zipfile.ZipFile(file) as archive:  # torch stores its records as they are; packed ones could inflate
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError(f"{file} has packed records, which zoo does not write; {start_again}")
        checkpoint = torch.load(file, weights_only=True, map_location="cpu")
        loops = checkpoint["loops"]["fit_loop"]
        _ = loops["epoch_progress"]["current"]["processed"], loops["epoch_loop.batch_progress"]["is_last_batch"]
        checkpoint["global_step"] += 0
    except OSError:
        raise
    except ValueError as error:
        raise ValueError(str(error) if str(file) in str(error) else f"{file} is damaged; {start_again}") from error
    except Exception as error:  # whatever unpickling a damaged file raises
        raise ValueError(f"{file} is damaged ({type(error).__name__}); {start_again}") from error
    check_finite(_tensors(checkpoint), str(file), start_again)
    return checkpoint


def place_in(checkpoint: Path) -> tuple[int, int, int]:
    """Return the epoch, the batch and the number of finished steps at which a run resumed from this checkpoint begins.

    Raises:
        ValueError: as ``read_running``.
    """
    content = read_running(checkpoint)
    loops = content["loops"]["fit_loop"]
    epoch = loops["epoch_progress"]["current"]["processed"]
    batches = loops["epoch_loop.batch_progress"]
    batch = 0 if batches["is_last_batch"] else batches["current"]["processed"]
    return epoch, batch, content["global_step"]


def write_weights(file: Path, state: Mapping[str, Tensor], where: str) -> None:
    """Write the weights of a finished phase, whole or not at all.

    Raises:
        ValueError: if a tensor is not finite; ``where`` is named.
    """
    check_finite(state, f"{where} is not written", "lower the learning rates, or check what the phase computes")
    write_whole(file, save({k: v.contiguous() for k, v in state.items()}))


def read_weights(file: Path) -> dict[str, Tensor]:
    """Return the weights of a finished phase.

    Raises:
        ValueError: if the file is damaged or holds a tensor that is not finite.
    """
    remedy = "remove it to repeat the phase"
    try:
        state = load_file(file)
    except SafetensorError as error:
        raise ValueError(f"{file} is damaged ({error}); {remedy}") from error
    check_finite(state, str(file), remedy)
    return state


def _tensors(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights and states of the optimizers of a checkpoint."""
    return {key: checkpoint.get(key, {}) for key in ("state_dict", "optimizer_states")}
