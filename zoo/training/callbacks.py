"""What makes a run resumable to the bit: atomic checkpoints after each epoch, every n steps and on Ctrl-C."""

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
    """Keep one checkpoint of the running phase, always whole.

    The first Ctrl-C finishes the step, saves and stops; a second one stops at once.

    Args:
        file: the checkpoint; replaced atomically.
        every: steps between two checkpoints inside an epoch; None for epoch ends only.
    """

    def __init__(self, file: Path, every: int | None = None) -> None:
        self.file, self.every = file, every
        self.asked = False
        self._before: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen for Ctrl-C."""

        def ask(*_: Any) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True

        if threading.current_thread() is threading.main_thread():  # the only one that may listen
            self._before = signal.signal(signal.SIGINT, ask)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Stop listening."""
        self._stop_listening()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop listening."""
        self._stop_listening()

    def _stop_listening(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Save inside an epoch when it is time, or when asked to stop."""
        last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        due = self.every is not None and trainer.global_step % self.every == 0
        asked = self._anyone_asked(trainer)
        if (due or asked) and not last:
            self._save(trainer)
            self._stop_if(asked)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after each epoch."""
        self._save(trainer)
        self._stop_if(self._anyone_asked(trainer))

    def state_dict(self) -> dict[str, Any]:
        """Random state of this process, for layers that draw, such as dropout."""
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

    def _anyone_asked(self, trainer: pl.Trainer) -> bool:
        """Whether any process was asked to stop: all must stop at the same step."""
        return trainer.strategy.reduce_boolean_decision(self.asked, all=False)

    @staticmethod
    def _stop_if(asked: bool) -> None:
        if asked:
            raise KeyboardInterrupt


def place_in(checkpoint: Path) -> tuple[int, int]:
    """Epoch and batch at which a run resumed from this checkpoint begins."""
    loops = torch.load(checkpoint, weights_only=True, map_location="cpu")["loops"]["fit_loop"]
    epoch = loops["epoch_progress"]["current"]["processed"]
    batches = loops["epoch_loop.batch_progress"]
    return epoch, 0 if batches["is_last_batch"] else batches["current"]["processed"]
