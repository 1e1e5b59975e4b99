"""Predictions on several processes through Lightning, each of which writes a shard of the rows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, IterableDataset

from zoo.prediction import Prediction, predict_batch
from zoo.prediction.writer import PredictionWriter


def process_count(devices: int) -> int:
    """Return the number of processes: that of ``torchrun``, if it started this one, otherwise ``devices``."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else devices


def predict_on(
    model: pl.LightningModule,
    raw: Any,
    out: Path,
    *,
    devices: int,
    shown: int,
    strict: bool,
    skip: bool,
    overwrite: bool,
    accelerator: str = "auto",
) -> dict[str, int]:
    """Predict on several processes and write a folder with one shard for each.

    Args:
        model: a classifier with inputs.
        raw: anything that they read, see ``zoo.inputs.base.Inputs.scan``.
        out: the folder; its suffix gives the format of the shards: .csv, .jsonl or .parquet.
        devices: number of processes.
        shown: number of units for each input.
        strict: whether an unusual input is an error.
        skip: whether inputs that cannot be read are skipped and listed.
        overwrite: replace the folder.
        accelerator: Lightning's accelerator.

    Returns:
        Numbers of all processes: ``count`` of predicted inputs, ``skipped`` and ``flags``.

    Raises:
        ValueError: if ``out`` exists, or an input cannot be read.
    """
    if int(os.environ.get("LOCAL_RANK", 0)) == 0:
        _check_folder(out, overwrite=overwrite)
    shards = _Shards(out)
    trainer = pl.Trainer(
        accelerator=accelerator,
        devices=devices,
        strategy="ddp",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[shards],
    )
    loader = DataLoader(_Parts(model.inputs, raw, strict, skip), batch_size=None)
    trainer.predict(_Predicting(model, shown), loader, return_predictions=False)
    return shards.totals


def _check_folder(out: Path, *, overwrite: bool) -> None:
    """Refuse a folder that exists, or that holds anything but shards."""
    if out.exists() and not overwrite:
        raise ValueError(f"{out} exists; add --overwrite to replace it, or choose another -o")
    foreign = [p.name for p in out.iterdir() if not p.name.startswith(("part-", ".part-"))] if out.is_dir() else []
    if foreign:
        raise ValueError(f"{out} holds {foreign[0]!r}, which is no shard of predictions; choose another -o")
    PredictionWriter(out / f"part-00000{out.suffix}", overwrite=True)  # checks the suffix


class _Parts(IterableDataset):
    """The readings of this process."""

    def __init__(self, inputs: Any, raw: Any, strict: bool, skip: bool) -> None:
        self.inputs = inputs
        self.raw = raw
        self.strict = strict
        self.skip = skip

    def __iter__(self) -> Iterator[Any]:
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        return self.inputs.scan_part(self.raw, rank, world, strict=self.strict, skip=self.skip)


class _Predicting(pl.LightningModule):
    """A model whose batches are readings; they are moved to its device when they are predicted."""

    def __init__(self, model: Any, shown: int) -> None:
        super().__init__()
        self.model = model
        self.shown = shown

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave the batch where it is."""
        return batch

    def predict_step(self, batch: Any, batch_idx: int) -> Prediction:
        """Return the predictions of a reading."""
        return predict_batch(self.model, batch, shown=self.shown, number=batch_idx)


class _Shards(pl.Callback):
    """Writes the predictions of each process and counts those of all."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.totals: dict[str, int] = {}
        self._counts = {"count": 0, "skipped": 0, "flags": 0}
        self._writer: PredictionWriter | None = None

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the shards of an earlier call, then open that of this process."""
        if trainer.is_global_zero:
            if self.out.is_dir():
                shutil.rmtree(self.out)
            self.out.unlink(missing_ok=True)
            self.out.mkdir(parents=True)
        trainer.strategy.barrier()
        name = f"part-{trainer.global_rank:05d}{self.out.suffix}"
        self._writer = PredictionWriter(self.out / name).__enter__()

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the rows of a reading."""
        assert self._writer is not None
        assert isinstance(outputs, Prediction)
        self._writer.write(outputs)
        self._counts["count"] += len(outputs)
        self._counts["skipped"] += len(outputs.skipped)
        self._counts["flags"] += len(outputs.flags)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the shard and add up the numbers."""
        if self._writer is not None:
            self._writer.__exit__(None, None, None)
        numbers = torch.tensor(list(self._counts.values()), device=trainer.strategy.root_device)
        if dist.is_initialized():
            dist.all_reduce(numbers)
        self.totals = dict(zip(self._counts, numbers.tolist(), strict=True))

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Remove the half-written shard."""
        if self._writer is not None:
            self._writer.__exit__(type(exception), exception, None)
