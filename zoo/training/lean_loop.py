"""The loop over the batches of an epoch without hooks that nobody overrides, which cost a small model more than a step.

It replaces Lightning's loop where there is nothing to distribute, scale, clip or accumulate; otherwise, and for the
first batch after a resumed checkpoint, Lightning's own runs. Progress counters, callbacks at the end of a batch, logs
and checkpoints are the same.
"""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.trainer import call
from torch import Tensor

from zoo.phase_training import STEP_METRIC, PhaseTraining

OF_A_STEP = (  # hooks that are not called
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
)
OF_A_MODEL = (
    "backward",
    "optimizer_step",
    "optimizer_zero_grad",
    "configure_gradient_clipping",
)
OF_A_BATCH = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


class LeanLoop(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch, lean where that is equivalent.

    Example:
        >>> trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", devices=1)
        >>> trainer.fit_loop.epoch_loop = LeanLoop(trainer)
    """

    _lean = False

    def on_run_start(self, data_fetcher: Any) -> None:
        """Decide how the batches of an epoch are run."""
        super().on_run_start(data_fetcher)
        self._lean = is_plain(self.trainer)

    def advance(self, data_fetcher: Any) -> None:
        """Train on one batch."""
        module: Any = self.trainer.lightning_module
        if self.restarting or not self._lean:
            super().advance(data_fetcher)
            return
        module.logged_by_loop = isinstance(module, PhaseTraining)
        try:
            self._advance(data_fetcher)
        finally:
            module.logged_by_loop = False

    def _advance(self, data_fetcher: Any) -> None:
        trainer: Any = self.trainer
        module = trainer.lightning_module
        logs = trainer._logger_connector
        progress = self.automatic_optimization.optim_progress.optimizer
        optimizer = trainer.optimizers[0]

        self.val_loop.restarting = False
        batch, _, _ = next(data_fetcher)
        index = self.batch_idx + 1
        self.batch_progress.is_last_batch = data_fetcher.done
        batch = batch.to(trainer.strategy.root_device)
        self.batch_progress.increment_ready()
        logs.on_batch_start(batch)
        self.batch_progress.increment_started()

        progress.step.increment_ready()
        module._current_fx_name = "training_step"
        loss = module.training_step(batch, index)
        module._current_fx_name = None
        progress.zero_grad.increment_ready()
        progress.zero_grad.increment_started()
        optimizer.zero_grad()
        progress.zero_grad.increment_completed()
        loss.backward()
        optimizer.step()
        progress.step.increment_completed()
        self.batch_progress.increment_processed()

        self.update_lr_schedulers("step", update_plateau_schedulers=False)
        if self._num_ready_batches_reached():
            self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        outputs = {"loss": loss.detach()}
        call._call_callback_hooks(trainer, "on_train_batch_end", outputs, batch, index)
        call._call_lightning_module_hook(trainer, "on_train_batch_end", outputs, batch, index)
        if logs.should_update_logs:
            logs.on_batch_end()
        self.batch_progress.increment_completed()
        if module.logged_by_loop and (trainer.should_stop or trainer.global_step % trainer.log_every_n_steps == 0):
            self._log(module.loss_terms)
        logs.update_train_step_metrics()

    def _log(self, terms: dict[str, Tensor]) -> None:
        """Write the terms of a step to the loggers, which ``LightningModule.log`` does at the cost of a step."""
        logs: Any = self.trainer._logger_connector
        values = {STEP_METRIC + name: value for name, value in terms.items()}
        logs._callback_metrics.update(values)
        logs._progress_bar_metrics[f"{STEP_METRIC}loss"] = float(terms["loss"])
        logs.log_metrics(values)


def is_plain(trainer: Any) -> bool:
    """Return whether a step of a Lightning trainer is a forward, a backward and an optimizer step, and nothing else."""
    module = trainer.lightning_module
    return (
        type(trainer.strategy) is SingleDeviceStrategy
        and type(trainer.precision_plugin) is Precision
        and isinstance(trainer.profiler, PassThroughProfiler)
        and trainer.accumulate_grad_batches == 1
        and trainer.gradient_clip_val is None
        and len(trainer.optimizers) == 1
        and module.automatic_optimization
        and _inherits(module, pl.LightningModule, (*OF_A_STEP, *OF_A_MODEL, *OF_A_BATCH))
        and (trainer.datamodule is None or _inherits(trainer.datamodule, pl.LightningDataModule, OF_A_BATCH))
        and all(_inherits(callback, Callback, OF_A_STEP) for callback in trainer.callbacks)
    )


def _inherits(one: Any, base: type, hooks: tuple[str, ...]) -> bool:
    """Return whether an object has the hooks of a base class as they are."""
    return all(getattr(type(one), hook) is getattr(base, hook) and hook not in vars(one) for hook in hooks)
