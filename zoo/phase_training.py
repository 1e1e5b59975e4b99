"""Training of a model one phase at a time: what a phase trains, the steps, the optimizer."""

from __future__ import annotations

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

from zoo.batch import Batch
from zoo.paths import did_you_mean
from zoo.phase import Phase
from zoo.task import Task

DEFAULT_LR = 1e-3  # of every part where there is no phase
STEP_METRIC = "train/"  # before the name of a loss term
WARM_UP = 0.15  # share of the steps in which the learning rate rises, of the schedule one_cycle
OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


class PhaseTraining(pl.LightningModule, ABC):
    """A Lightning module that a phase configures: one ``Trainer.fit`` for each phase.

    Attributes:
        name: under which the class is registered.
        terms: names of the loss terms that ``loss`` may return; ``task`` has weight 1 unless a phase sets another.
        default_loss: weights of loss terms where there is no phase, see ``configure_optimizers``.
        phase: the running phase.
        loss_terms: values of the last training step, by term; ``loss`` is their weighted sum.
        logged_by_loop: whether the training loop logs them, see ``zoo.training.lean_loop``; otherwise each step does.
    """

    name: ClassVar[str]
    terms: ClassVar[tuple[str, ...]] = ("task",)
    default_loss: ClassVar[Mapping[str, float]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.phase = Phase()
        self._weights: dict[str, float] | None = None  # of the terms, where they are the same at each step
        self.loss_terms: dict[str, Tensor] = {}
        self.logged_by_loop = False

    def save_hyperparameters(self, *args: Any, ignore: Any = None, frame: Any = None, logger: bool = True) -> None:
        """Save the arguments of ``__init__``; of a module of the user only its name, as ``own:MyNet``."""
        frame = frame or inspect.currentframe().f_back  # pyright: ignore[reportOptionalMemberAccess]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*is an instance of `nn.Module`.*")
            super().save_hyperparameters(*args, ignore=ignore, frame=frame, logger=logger)
        saved: tuple[Any, Any] = self.hparams, self._hparams_initial
        for key, value in list(self.hparams.items()):
            if isinstance(value, nn.Module):
                for arguments in saved:
                    arguments[key] = f"own:{type(value).__qualname__}"

    @property
    @abstractmethod
    def task(self) -> Task:
        """What the model answers: loss, prediction and calibration."""

    @abstractmethod
    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """Return what a phase can train, by name; together all parameters."""

    @abstractmethod
    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Return unweighted loss terms by name, ``task`` first; terms of weight 0 may be left out."""

    def setup(self, stage: str) -> None:
        """Turn off warnings of a plain ``Trainer`` without cause: of its own code, and of our sampler."""
        for message in (".*LeafSpec", ".*custom batch sampler `EpochSampler`"):
            warnings.filterwarnings("ignore", message=message)

    def check_phases(self, phases: Mapping[str, Phase]) -> None:
        """Check the phases of a run together, before it begins; a family overrides it.

        Raises:
            ValueError: if they do not train what the arguments of the model promise.
        """

    def configure_phase(self, phase: Phase) -> None:
        """Set the phase: which parts are trained, at which learning rates and with which loss weights.

        Raises:
            ValueError: if the phase names an unknown part or term; the message names the nearest.
        """
        for names, known, what in (
            (phase.lr, list(self.trainable_parts()), "part"),
            (phase.loss, list(self.terms), "loss term"),
        ):
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"{self.name} has no {what} {name!r}{did_you_mean(name, known)} (has: {', '.join(known)})"
                    )
        self.phase = phase
        self._weights = None if phase.ramps else self._weights_at(0.0)
        for name, part in self.trainable_parts().items():
            for parameter in _parameters(part):
                parameter.requires_grad_(name in phase.lr)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set training mode; frozen parts stay in eval mode, so that their running statistics are frozen too."""
        super().train(mode)
        for name, part in self.trainable_parts().items() if mode else ():
            if isinstance(part, nn.Module) and self.phase.lr and name not in self.phase.lr:
                part.eval()
        for module in self.modules() if mode and self.phase.freeze_norm else ():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    def _weights_at(self, progress: float) -> dict[str, float]:
        """The weight of every loss term at a share of the steps of the phase."""
        chosen = self.phase.loss_weights(progress) if self.phase.lr else self.default_loss
        return {t: float(t == "task") for t in self.terms} | dict(chosen)

    @property
    def phase_progress(self) -> float:
        """Share of the steps of the running phase that are done, 0 to 1; 0 outside of training."""
        if self._trainer is None:
            return 0.0
        return min(1.0, self.global_step / max(1, int(self.trainer.estimated_stepping_batches)))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the weighted sum of the loss terms; every term is logged every ``log_every_n_steps`` steps."""
        batch = Batch.of(batch)
        weights = self._weights or self._weights_at(self.phase_progress if self.phase.ramps else 0.0)
        terms = self.loss(batch, weights)
        weighted = [v if weights[t] == 1 else weights[t] * v for t, v in terms.items() if weights[t] != 0]
        total = weighted[0] if len(weighted) == 1 else torch.stack(weighted).sum()
        values = {t: v.detach() for t, v in terms.items()}
        same = [t for t, v in terms.items() if v is total]
        values["loss"] = values[same[0]] if same else total.detach()
        vars(self)["loss_terms"] = values  # Module.__setattr__ costs 10 us
        if not self.logged_by_loop:
            trainer: Any = self.trainer
            if (trainer.global_step + 1) % trainer.log_every_n_steps == 0:
                self._log_step(batch)
        return total

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Log the last step of a training that is stopped early."""
        if self.trainer.should_stop and not self.logged_by_loop:
            self._log_step(batch)

    def on_train_end(self) -> None:
        """Do what follows the last epoch."""
        val: Any = self.trainer.val_dataloaders
        self.training_ended(val or ())

    def training_ended(self, val: Iterable[Batch]) -> None:
        """Compute what a family needs after the last epoch; by default nothing.

        A phase that is resumed after its last epoch does it too, although Lightning then calls no hook.

        Args:
            val: the validation batches.
        """

    def _log_step(self, batch: Batch) -> None:
        for name, value in self.loss_terms.items():
            is_loss = name == "loss"
            self.log(STEP_METRIC + name, value, on_step=True, on_epoch=False, prog_bar=is_loss, batch_size=len(batch))

    def validation_values(self, batch: Batch) -> dict[str, Tensor]:
        """Return the accuracy on a batch, or the mean loss of a task without classes, by name."""
        logits = self(batch.x)
        if self.task.kind == "classification":
            return {"val/accuracy": (logits.argmax(1) == batch.targets).float().mean()}
        return {"val/loss": self.task.loss(logits, batch.targets)}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log ``validation_values``; the training loop of a plain run takes the mean without this method."""
        batch = Batch.of(batch)
        for name, value in self.validation_values(batch).items():
            self.log(name, value, prog_bar=True, batch_size=len(batch), sync_dist=True)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log what ``validation_step`` logs; scores with intervals are those of ``zoo.evaluate``."""
        batch = Batch.of(batch)
        logits = self(batch.x)
        self.log("test/loss", self.task.loss(logits, batch.targets), batch_size=len(batch), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Return the optimizer and the schedule, one parameter group for each part of the phase.

        Without a phase, as in a plain ``Trainer.fit``, all parts are trained by Adam at a learning rate of 1e-3.
        """
        p = self.phase if self.phase.lr else replace(self.phase, lr=dict.fromkeys(self.trainable_parts(), DEFAULT_LR))
        groups = [
            {"params": _parameters(part), "lr": p.lr[name], "name": name}
            for name, part in self.trainable_parts().items()
            if name in p.lr
        ]
        if p.optimizer == "sgd":
            optimizer = torch.optim.SGD(groups, weight_decay=p.weight_decay, momentum=0.9)
        else:
            optimizer = OPTIMIZERS[p.optimizer](groups, weight_decay=p.weight_decay)
        if p.schedule == "constant":
            return optimizer
        if p.schedule == "step":
            return [optimizer], [StepLR(optimizer, p.every, p.gamma)]
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        if p.schedule == "one_cycle":
            rates = [group["lr"] for group in groups]
            cycle = OneCycleLR(optimizer, rates, total_steps=steps + 1, pct_start=WARM_UP, cycle_momentum=False)
            return [optimizer], [{"scheduler": cycle, "interval": "step"}]
        return [optimizer], [{"scheduler": CosineAnnealingLR(optimizer, steps), "interval": "step"}]


def _parameters(part: nn.Module | nn.Parameter) -> list[nn.Parameter]:
    return [part] if isinstance(part, nn.Parameter) else list(part.parameters())
