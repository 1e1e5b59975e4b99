"""The loop over the batches of an epoch without hooks that nobody overrides, which cost a small model more than a step.

It replaces Lightning's loop where there is nothing to distribute, scale, clip or accumulate; otherwise, and for the
first batch after a resumed checkpoint, Lightning's own runs. Progress counters, callbacks at the end of a batch, logs
and checkpoints are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loops.fetchers import _PrefetchDataFetcher
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.trainer import call
from pytorch_lightning.trainer.states import RunningStage, TrainerFn
from torch import Tensor
from torch.autograd import profiler
from torch.optim import Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks
from torch.utils.data.dataloader import _SingleProcessDataLoaderIter

from zoo.phase_training import STEP_METRIC, PhaseTraining
from zoo.training.lean_validation import LeanValidation, inherits

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
    "lr_scheduler_step",
)
RECORDED_STEP = "Optimizer.profile_hook_step.<locals>.wrapper"  # what torch puts around the step of an optimizer
OF_A_BATCH = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


class LeanLoop(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch, lean where that is equivalent.

    Example:
        >>> trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", devices=1)
        >>> trainer.fit_loop.epoch_loop = LeanLoop(trainer)
    """

    def __init__(self, trainer: pl.Trainer) -> None:
        super().__init__(trainer)
        self.val_loop = LeanValidation(
            trainer, TrainerFn.FITTING, RunningStage.VALIDATING, verbose=False, inference_mode=False
        )

    _lean = False
    _decided_for: tuple[Any, ...] = ()  # whom is_plain asked
    _trained: Sequence[Tensor] = ()
    _device: torch.device | None = None
    _train: Any = None  # a step of the optimizer
    _loader: Iterator[Any] | None = None  # of the training batches where there is one whose length is known
    _samples: Any = None  # the same where it is that of one process, which records each batch for a profiler
    _schedules: list[Any] | None = None  # where every schedule takes each step
    _hooks: tuple[Any, ...] = ()  # what follows a batch: methods of the callbacks and of the model
    _logs_itself = True
    _to_the_end = False

    def on_run_start(self, data_fetcher: Any) -> None:
        """Decide how the batches of an epoch are run."""
        super().on_run_start(data_fetcher)
        trainer: Any = self.trainer
        module = trainer.lightning_module
        asked = (module, trainer.datamodule, trainer.profiler, *trainer.optimizers, *trainer.callbacks)
        if list(map(id, asked)) != list(map(id, self._decided_for)):
            self._lean, self._decided_for = is_plain(trainer), asked
            self.val_loop.decide(self._lean)
        hooks = [c.on_train_batch_end for c in trainer.callbacks if not inherits(c, Callback, ("on_train_batch_end",))]
        self._hooks = tuple(partial(hook, trainer, module) for hook in hooks)
        self._logs_itself = not isinstance(module, PhaseTraining)
        if not isinstance(module, PhaseTraining) or not inherits(module, PhaseTraining, ("on_train_batch_end",)):
            self._hooks += (partial(call._call_lightning_module_hook, trainer, "on_train_batch_end"),)
        self._trained = [
            p for optimizer in trainer.optimizers for group in optimizer.param_groups for p in group["params"]
        ]
        self._device = trainer.strategy.root_device
        self._loader = _single_loader(data_fetcher)
        records = profiler._is_profiler_enabled
        self._samples = None if records or type(self._loader) is not _SingleProcessDataLoaderIter else self._loader
        if self._lean:
            optimizer = trainer.optimizers[0]
            self._train = optimizer.step if records else unrecorded_step(optimizer)
        configs = trainer.lr_scheduler_configs
        every = all(c.interval == "step" and c.frequency == 1 and not c.reduce_on_plateau for c in configs)
        self._schedules = [config.scheduler for config in configs] if every else None
        batches = trainer.fit_loop.max_batches
        self._to_the_end = trainer.max_steps == -1 and trainer.val_check_batch in (batches, float("inf"))

    def advance(self, data_fetcher: Any) -> None:
        """Train on one batch, and on those that follow it until Lightning has something to do between two of them."""
        module: Any = self.trainer.lightning_module
        if self.restarting or not self._lean:
            super().advance(data_fetcher)
            return
        self.val_loop.restarting = False
        if not self._logs_itself:
            module.__dict__["logged_by_loop"] = True  # as Module.__setattr__ does, which costs 10 us
        try:
            while self._step(module, data_fetcher) and self._to_the_end:
                self._batches_that_stepped += 1
        finally:
            if not self._logs_itself:
                module.__dict__["logged_by_loop"] = False

    def _step(self, module: Any, data_fetcher: Any) -> bool:
        """Train on one batch; returns whether nothing but the next batch follows."""
        trainer: Any = self.trainer
        logs = trainer._logger_connector
        progress = self.automatic_optimization.optim_progress.optimizer

        batch = self._next(data_fetcher)
        index = self.batch_idx + 1
        last = self.batch_progress.is_last_batch = data_fetcher.done
        batch = batch.to(self._device)
        self.batch_progress.increment_ready()
        self._note(batch)
        self.batch_progress.increment_started()

        progress.step.increment_ready()
        module.__dict__["_current_fx_name"] = "training_step"
        loss = module.training_step(batch, index)
        module.__dict__["_current_fx_name"] = None
        progress.zero_grad.increment_ready()
        progress.zero_grad.increment_started()
        for parameter in self._trained:  # what zero_grad does, which also writes to a profiler
            parameter.grad = None
        progress.zero_grad.increment_completed()
        loss.backward()
        self._train()
        progress.step.increment_completed()
        self.batch_progress.increment_processed()

        self._update_schedules()
        outputs = {"loss": loss.detach() if self._logs_itself else module.loss_terms["loss"]}
        for hook in self._hooks:
            hook(outputs, batch, index)
        every = trainer.log_every_n_steps
        due = every != 0 and ((self._batches_that_stepped + 1) % every == 0 or trainer.should_stop)
        logged = due and len(self._results) > 0  # something has called LightningModule.log
        if logged:
            logs.on_batch_end()
        self.batch_progress.increment_completed()
        if due and not self._logs_itself:
            self._log(module.loss_terms)
        if logged:
            logs.update_train_step_metrics()
        return not (last or trainer.should_stop or trainer.received_sigterm)

    def _next(self, fetcher: Any) -> Any:
        """Do what the next of a fetcher does, for one loader without the way through Lightning's loader of several."""
        if self._loader is None:
            return next(fetcher)[0]
        samples = self._samples
        try:
            if samples is None or samples._sampler_iter is None:
                batch = next(self._loader)
            else:
                batch = samples._next_data()
                samples._num_yielded += 1
        except StopIteration:
            fetcher.done = True
            raise
        fetcher.fetched += 1
        fetcher.done = fetcher.fetched >= fetcher.length
        return batch

    def _note(self, batch: Any) -> None:
        """Do what Lightning's ``on_batch_start`` does, which asks the trainer for its stage many times."""
        logs: Any = self.trainer._logger_connector
        logs._first_loop_iter = logs._first_loop_iter is None
        self._results.batch = batch
        self._results.batch_size = self._results.dataloader_idx = None

    def _update_schedules(self) -> None:
        """Do what Lightning's ``update_lr_schedulers`` does, for schedules that take each step."""
        if self._schedules is not None:
            for schedule in self._schedules:
                self.scheduler_progress.increment_ready()
                schedule.step()
                self.scheduler_progress.increment_completed()
            return
        self.update_lr_schedulers("step", update_plateau_schedulers=False)
        if self._num_ready_batches_reached():
            self.update_lr_schedulers("epoch", update_plateau_schedulers=False)

    def _log(self, terms: dict[str, Tensor]) -> None:
        """Write the terms of a step to the loggers, which ``LightningModule.log`` does at the cost of a step."""
        logs: Any = self.trainer._logger_connector
        values = {STEP_METRIC + name: value for name, value in terms.items()}
        logs._callback_metrics.update(values)
        logs._progress_bar_metrics[f"{STEP_METRIC}loss"] = float(terms["loss"])
        logs.log_metrics(values)


def _single_loader(fetcher: Any) -> Iterator[Any] | None:
    """The iterator behind a fetcher of one loader whose length is known, and which has fetched nothing ahead."""
    if type(fetcher) is not _PrefetchDataFetcher or fetcher.length is None or fetcher.batches:
        return None
    combined: Any = fetcher.iterator
    loaders = combined._iterator.iterators
    return loaders[0] if len(loaders) == 1 else None


def unrecorded_step(optimizer: Optimizer) -> Callable[[], Any]:
    """Return the step of an optimizer without its record for a profiler, where nothing hooks into it.

    Example:
        >>> weight = torch.ones(1, requires_grad=True)
        >>> weight.grad = torch.ones(1)
        >>> unrecorded_step(torch.optim.SGD([weight], lr=0.5))()
        >>> weight.tolist()
        [0.5]
    """
    step: Any = type(optimizer).step
    of_instance = vars(optimizer).get("step")  # a schedule watches in it whether there was a step before its own
    hooks = (
        optimizer._optimizer_step_pre_hooks,
        optimizer._optimizer_step_post_hooks,
        _global_optimizer_pre_hooks,
        _global_optimizer_post_hooks,
    )
    if any(hooks) or getattr(getattr(step, "__code__", None), "co_qualname", "") != RECORDED_STEP:
        return optimizer.step
    if of_instance is not None:
        if not hasattr(of_instance, "_wrapped_by_lr_sched") or getattr(of_instance, "__wrapped__", None) is not step:
            return optimizer.step
        vars(optimizer)["_opt_called"] = True
    return partial(step.__wrapped__, optimizer)


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
        and inherits(trainer.optimizers[0], Optimizer, ("zero_grad",))
        and module.automatic_optimization
        and inherits(module, pl.LightningModule, (*OF_A_STEP, *OF_A_MODEL, *OF_A_BATCH))
        and (trainer.datamodule is None or inherits(trainer.datamodule, pl.LightningDataModule, OF_A_BATCH))
        and all(inherits(callback, Callback, OF_A_STEP) for callback in trainer.callbacks)
    )
