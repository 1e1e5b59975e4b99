"""What interrupts a phase: a loss that is not finite, Ctrl-C and SIGTERM; and the checkpoint to continue from."""

from __future__ import annotations

import math
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from zoo.model import SelfExplaining
from zoo.runtime.signals import Terminated

LOG_EVERY = 10  # steps between two logged steps
SAVE_SECONDS = 5.0  # epochs shorter than this are not saved one by one


class FiniteLoss(Callback):
    """Stops a run at the first loss that is not finite, naming phase, step and term.

    On the CPU every step is checked. On other devices the first bad step is noted there, and read when metrics are
    logged and before every checkpoint, so that no step waits for the device.

    Args:
        phase: named in the error.
    """

    def __init__(self, phase: str) -> None:
        self.phase = phase
        self._first: dict[str, Tensor] = {}  # by term: its first bad step, 0 for none
        self._alone = False  # one process

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note whether other processes take part."""
        self._alone = trainer.world_size == 1

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Check the loss of a step."""
        loss = outputs["loss"]
        on_cpu = loss.device.type == "cpu"
        if not on_cpu or not math.isfinite(loss.item()):
            terms = pl_module.loss_terms if isinstance(pl_module, SelfExplaining) else {}
            self._note(trainer, {**terms, "loss": loss})
        if on_cpu or trainer.global_step % LOG_EVERY == 0:
            self.check(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the last steps."""
        self.check(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check the steps since the last check."""
        self.check(trainer)

    def _note(self, trainer: pl.Trainer, terms: dict[str, Tensor]) -> None:
        for name, value in terms.items():
            step = torch.full((), trainer.global_step, device=value.device)
            first = self._first.get(name, torch.zeros_like(step))
            self._first[name] = torch.where((first == 0) & ~torch.isfinite(value.detach()).all(), step, first)

    def check(self, trainer: pl.Trainer) -> None:
        """Raise ValueError if a loss was not finite on any process: all stop at the same step."""
        if self._alone and not self._first:
            return
        steps = {name: int(step) for name, step in self._first.items() if int(step)}
        if not trainer.strategy.reduce_boolean_decision(bool(steps), all=False):
            return
        if not steps:
            raise ValueError(f"phase {self.phase}: the loss of another process is not finite")
        step = min(steps.values())
        terms = [name for name, first in steps.items() if first == step and name != "loss"]
        what = f"term {terms[0]!r} of the loss" if terms else "the loss"
        raise ValueError(
            f"phase {self.phase}, step {step}: {what} is not finite; lower phases.{self.phase}.lr, set"
            f" phases.{self.phase}.clip, or check the inputs"
        )


class Resumable(Callback):
    """Keeps one checkpoint of the running phase, replaced atomically, see ``WholeCheckpoint``.

    The first Ctrl-C or SIGTERM finishes the step, saves and stops; a second one stops immediately.

    Args:
        file: the checkpoint.
        every: steps between two checkpoints within an epoch; None for epoch ends only. Then the end of an epoch is
            saved 5 seconds or more after the last save, so that short epochs do not spend their time on saving; in
            a run of several processes each is.
    """

    def __init__(self, file: Path, every: int | None = None) -> None:
        self.file = file
        self.every = every
        self.received: type[KeyboardInterrupt] | None = None
        self._alone = False  # one process
        self._handlers: dict[signal.Signals, Any] = {}
        self._saved = 0.0  # when, by the monotonic clock

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Install the handlers of Ctrl-C and SIGTERM."""

        def interrupt(number: int, _: Any) -> None:
            kind = Terminated if number == signal.SIGTERM else KeyboardInterrupt
            if self.received:
                raise kind
            self.received = kind

        if threading.current_thread() is threading.main_thread():  # only the main thread can set a handler
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, interrupt)
        self._saved = time.monotonic()
        self._alone = trainer.world_size == 1

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Restore the previous handlers."""
        self._restore_handlers()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the previous handlers."""
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save within an epoch every ``every`` steps, or after Ctrl-C and SIGTERM."""
        if self._alone and self.every is None and self.received is None:
            return
        last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        due = self.every is not None and trainer.global_step % self.every == 0
        interrupted = self._any_interrupted(trainer)
        if (due or interrupted) and not last:
            self._save(trainer)
            self._stop_if(trainer, interrupted)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the last epoch, and every other that ends long enough after the last save."""
        interrupted = self._any_interrupted(trainer)
        last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        each = self.every is not None or trainer.world_size > 1  # the clocks of two processes differ
        if each or last or interrupted or time.monotonic() - self._saved >= SAVE_SECONDS:
            self._save(trainer)
        self._stop_if(trainer, interrupted)

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
        trainer.save_checkpoint(self.file)
        self._saved = time.monotonic()

    def _any_interrupted(self, trainer: pl.Trainer) -> bool:
        """Whether any process was interrupted: all must stop at the same step."""
        return trainer.strategy.reduce_boolean_decision(self.received is not None, all=False)

    def _stop_if(self, trainer: pl.Trainer, interrupted: bool) -> None:
        if not interrupted:
            return
        terminated = trainer.strategy.reduce_boolean_decision(self.received is Terminated, all=False)
        raise Terminated if terminated else KeyboardInterrupt
