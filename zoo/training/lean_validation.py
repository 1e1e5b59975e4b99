"""The validation of an epoch without hooks that nobody overrides, which cost a small model as much as its batches.

It replaces Lightning's loop where a model validates as ``PhaseTraining`` does, on one device, and no callback looks on;
otherwise Lightning's own runs. Metrics, the order of batches and checkpoints are the same.
"""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loops.evaluation_loop import _EvaluationLoop
from torch import Tensor

from zoo.batch import Batch
from zoo.phase_training import PhaseTraining

OF_VALIDATION = tuple(f"on_validation_{when}" for when in ("start", "end", "epoch_start", "epoch_end"))
OF_A_BATCH = ("on_validation_batch_start", "on_validation_batch_end")
OF_A_MODEL = ("on_validation_model_eval", "on_validation_model_train")


class LeanValidation(_EvaluationLoop):
    """Lightning's validation of an epoch, lean where that is equivalent.

    Example:
        >>> from pytorch_lightning.trainer.states import RunningStage, TrainerFn
        >>> trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", devices=1)
        >>> stages = TrainerFn.FITTING, RunningStage.VALIDATING
        >>> trainer.fit_loop.epoch_loop.val_loop = LeanValidation(trainer, *stages, verbose=False, inference_mode=False)
    """

    _lean = False  # whether nothing happens on the way that this loop leaves out

    def decide(self, is_plain: bool) -> None:
        """Decide how a run goes; the loop of training knows whether a step is plain."""
        self._lean = is_plain and self._validates_plainly(self.trainer.lightning_module)

    def run(self) -> list[dict[str, Any]]:
        """Validate on the whole split, or on the batches to which it is limited."""
        module = self.trainer.lightning_module
        self.setup_data()
        loaders = [] if self._combined_loader is None else self._combined_loader.flattened
        if self.restarting or not self._lean or len(loaders) != 1:
            return super().run()
        self.batch_progress.reset_on_run()
        self._module_mode.capture(module)
        module.eval()
        with torch.no_grad():
            metrics = self._means(module, loaders[0], self.max_batches[0])
        self._module_mode.restore(module)
        logs: Any = self.trainer._logger_connector
        logs.epoch_end_reached()
        for shown in (logs._callback_metrics, logs._progress_bar_metrics):
            shown.update(metrics)
        logs.log_metrics(metrics)
        return [metrics]

    def _means(self, module: Any, loader: Any, limit: float) -> dict[str, Tensor]:
        """The mean of each metric over the samples, summed in Lightning's order."""
        sums: dict[str, Tensor] = {}
        count = 0
        device = self.trainer.strategy.root_device
        for number, batch in enumerate(loader):
            if number >= limit:
                break
            batch = Batch.of(batch).to(device)
            for name, value in module.validation_values(batch).items():
                of_batch = value * len(batch)
                sums[name] = sums[name] + of_batch if name in sums else of_batch
            count = count + len(batch)
            self.batch_progress.increment_by(1, number + 1 >= limit)
        return {name: total / count for name, total in sums.items()}

    def _validates_plainly(self, module: Any) -> bool:
        looked_on = (*OF_VALIDATION, *OF_A_BATCH)
        trainer: Any = self.trainer
        return (
            isinstance(module, PhaseTraining)
            and inherits(module, PhaseTraining, ("validation_step",))
            and inherits(module, pl.LightningModule, (*looked_on, *OF_A_MODEL))
            and all(inherits(callback, Callback, looked_on) for callback in trainer.callbacks)
        )


def inherits(one: Any, base: type, hooks: tuple[str, ...]) -> bool:
    """Return whether an object has the hooks of a base class as they are.

    Example:
        >>> inherits(Callback(), Callback, OF_VALIDATION)
        True
    """
    return all(getattr(type(one), hook) is getattr(base, hook) and hook not in vars(one) for hook in hooks)
