"""The keys of a run config: model, data, phases, task, trainer and the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from zoo.config.migration import VERSION
from zoo.phase import Phase


@dataclass
class TrainerArgs:
    """Where and how a run computes.

    Attributes:
        accelerator: Lightning's accelerator.
        devices: how many.
        strategy: Lightning's strategy; ``ddp`` for several processes.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        compile: run the backbone through ``torch.compile``.
        channels_last: train a backbone with its weights laid out channels last, which is faster for CNNs.
        feature_cache_gb: largest size, in GB, of the cached features (of phases with ``cache``) that are also kept on
            disk, in the user's cache folder, for other runs with the same frozen layers, data and augmentation; 0 for
            none. The files that were not used for longest are removed first.
        loggers: trackers beside the CSV file that every run writes: tensorboard, wandb, mlflow.
        save_every: steps between two resumable checkpoints inside an epoch; one is written after each epoch (of epochs
            shorter than 5 s, every 5 s).
    """

    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    compile: bool = False
    channels_last: bool = True
    feature_cache_gb: float = 0.0
    loggers: list[Literal["tensorboard", "wandb", "mlflow"]] = field(default_factory=list)
    save_every: int | None = None


@dataclass
class Finetune:
    """Where a run starts.

    Attributes:
        source: checkpoint (name, folder or ``hub:org/name``), YAML key ``from``.
        replace: parts that start afresh; everything else must fit exactly.
    """

    source: str | None = None
    replace: list[str] = field(default_factory=list)


@dataclass
class TaskArgs:
    """What is declared about the task; its kind follows from the target of the data.

    Attributes:
        loss: of a regression, ``squared`` or ``huber``; null for squared.
        delta: of the Huber loss, in standard deviations of y.
        class_weights: of the loss: ``balanced``, a weight by class name, or a list; null for equal ones.
        smoothing: of the labels of a classification.
        calibrate: fit a temperature on validation samples.
        cost: of a wrong answer to an input of a class, ``{ill: 10, well: 1}``; or ``{false_positive: 1,
            false_negative: 10}``, the second class or the presence of a label being positive. The threshold of least
            cost is chosen on validation samples. Null for the largest logit.
        max_risk: error rate that answers may have on validation samples; the model abstains from less confident ones.
    """

    loss: str | None = None
    delta: float = 1.0
    class_weights: Any = None
    smoothing: float = 0.0
    calibrate: bool = True
    cost: Any = None
    max_risk: float | None = None


@dataclass
class Config:
    """A run.

    Attributes:
        model: ``name`` and the arguments of that model.
        data: ``name`` and the arguments of that data module.
        phases: stages by name, in order.
        task: loss, class weights, costs of errors; the kind of task follows from the data.
        finetune: where to start, if not from scratch.
        reference: config (or run folder) of the black box whose accuracy is printed beside this run's.
        suite: scores of the finished run: a name under ``configs/evaluate``, or a YAML file, found from the working
            directory.
        trainer: where and how to compute.
        version: of the layout of this config, see ``migrate``.
        seed: of weights; and, as the default of ``data.seed``, of order, augmentation and held-out validation share.
    """

    model: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    phases: dict[str, Phase] = field(default_factory=dict)
    task: TaskArgs = field(default_factory=TaskArgs)
    finetune: Finetune | None = None
    reference: str | None = None
    suite: str = "quick"
    trainer: TrainerArgs = field(default_factory=TrainerArgs)
    seed: int = 0
    version: int = VERSION
