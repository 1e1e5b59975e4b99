"""Exactly resumable runs: atomic checkpoints after each epoch, every n steps and on Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback


class Resumable(Callback):
    """Keeps one checkpoint of the running phase, replaced atomically.

    The first Ctrl-C finishes the step, saves and stops; a second one stops immediately.

    Args:
        file: the checkpoint.
        every: steps between two checkpoints within an epoch; None for epoch ends only.
    """

    def __init__(self, file: Path, every: int | None = None) -> None:
        self.file = file
        self.every = every
        self.interrupted = False
        self._handler: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Install the handler of Ctrl-C."""

        def interrupt(*_: Any) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True

        if threading.current_thread() is threading.main_thread():  # only the main thread can set a handler
            self._handler = signal.signal(signal.SIGINT, interrupt)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Restore the previous handler of Ctrl-C."""
        self._restore_handler()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the previous handler of Ctrl-C."""
        self._restore_handler()

    def _restore_handler(self) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self._handler = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save within an epoch every ``every`` steps, or after Ctrl-C."""
        last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        due = self.every is not None and trainer.global_step % self.every == 0
        interrupted = self._any_interrupted(trainer)
        if (due or interrupted) and not last:
            self._save(trainer)
            self._stop_if(interrupted)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after each epoch."""
        self._save(trainer)
        self._stop_if(self._any_interrupted(trainer))

    def state_dict(self) -> dict[str, Any]:
        """Return the random state of this process, for layers such as dropout."""
        state = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            state["cuda"] = torch.cuda.get_rng_state()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the random state."""
        torch.set_rng_state(state_dict["cpu"])
        if "cuda" in state_dict and torch.cuda.is_available():
            torch.cuda.set_rng_state(state_dict["cuda"])

    def _save(self, trainer: pl.Trainer) -> None:
        part = self.file.with_suffix(".part")
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            os.replace(part, self.file)

    def _any_interrupted(self, trainer: pl.Trainer) -> bool:
        """Whether any process was interrupted: all must stop at the same step."""
        return trainer.strategy.reduce_boolean_decision(self.interrupted, all=False)

    @staticmethod
    def _stop_if(interrupted: bool) -> None:
        if interrupted:
            raise KeyboardInterrupt


def place_in(checkpoint: Path) -> tuple[int, int]:
    """Return the epoch and batch at which a run resumed from this checkpoint begins."""
    loops = torch.load(checkpoint, weights_only=True, map_location="cpu")["loops"]["fit_loop"]
    epoch = loops["epoch_progress"]["current"]["processed"]
    batches = loops["epoch_loop.batch_progress"]
    return epoch, 0 if batches["is_last_batch"] else batches["current"]["processed"]
