"""Training as a sequence of phases: one ``Trainer.fit`` each, then methods of the model, then the weights on disk.

DDP builds its reducer once, at the start of a fit, so parameters unfrozen later would differ between ranks without
warning: hence one fit per phase. A finished phase writes ``phases/<i>-<name>.safetensors``, a running one a resumable
``.ckpt`` beside it.
"""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback, TQDMProgressBar
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from zoo.config import TrainerArgs
from zoo.data.base import Data
from zoo.denormals import denormals_as_zero
from zoo.model import SelfExplaining
from zoo.phase import Phase, methods
from zoo.training.cache import CachedFeatures, backbone_of, bypassed
from zoo.training.callbacks import Resumable, place_in
from zoo.training.check import check_phases
from zoo.training.loggers import CsvLog, trackers


@denormals_as_zero()
def run_phases(
    model: SelfExplaining,
    data: Data,
    config: DictConfig,
    out: Path,
    *,
    resume: bool = False,
    limit: int | None = None,
    callbacks: list[Callback] | None = None,
    progress: bool = True,
) -> None:
    """Train ``model`` in place through all phases of ``config``.

    Args:
        model: as built or loaded.
        data: its data.
        config: the run.
        out: run folder; gets ``phases/`` and ``log.csv``.
        resume: skip finished phases and continue the running one; the result is bit-identical to an uninterrupted run.
        limit: batches per epoch, for a dry run.
        callbacks: further Lightning callbacks.
        progress: show progress bars.

    Raises:
        ValueError: if a phase names a part, loss term or method that the model does not have.
    """
    check_phases(model, config)
    folder = out / "phases"
    if getattr(rank_zero_only, "rank", 0) == 0:  # other ranks must not create it before it is checked
        folder.mkdir(parents=True, exist_ok=True)
    if not config.trainer.channels_last and "backbone" in model.trainable_parts():
        backbone_of(model).to(memory_format=torch.contiguous_format)
    if config.trainer.compile:
        backbone_of(model).compile()
    for i, (name, raw) in enumerate(config.phases.items()):
        phase = OmegaConf.to_object(raw)
        assert isinstance(phase, Phase)
        done = folder / f"{i}-{name}.safetensors"
        running = folder / f"{i}-{name}.ckpt"
        if resume and done.exists():
            model.load_state_dict(load_file(done))
            continue
        pl.seed_everything(config.seed + i, verbose=False)
        model.configure_phase(phase)
        log = CsvLog(out / "log.csv", name)
        start = time.time()
        logs = [log, *trackers(config.trainer.loggers, out, name)]
        trainer = _trainer(config.trainer, phase, logs, running, limit, [*(callbacks or []), *_bars(progress)])
        if phase.epochs:
            _fit(trainer, model, data, phase, running if resume and running.exists() else None, progress=progress)
        model.to(trainer.strategy.root_device)
        _broadcast_state(model)
        for method, args in methods(phase.then).items():
            train = tqdm(
                data.loader("train"), desc=f"{name}: {method}", disable=None if progress else True, leave=False
            )
            if args.get("val"):  # replaced by the loader of the validation split
                args |= {"val": data.loader("val")}
            numbers = getattr(model, method)(train, **args) or {}
            log.log_metrics({f"{method}/{k}": v for k, v in numbers.items()})
        model.configure_phase(Phase())
        model.eval().cpu()
        log.log_metrics({"seconds": round(time.time() - start, 2)})
        _save(model, done, running)
        trainer.strategy.barrier()
    if _is_distributed():
        dist.destroy_process_group()  # only the first process continues, with the evaluation


def _fit(
    trainer: pl.Trainer,
    model: SelfExplaining,
    data: Data,
    phase: Phase,
    checkpoint: Path | None,
    *,
    progress: bool,
) -> None:
    source: Any = data
    if phase.cache:
        device = trainer.strategy.root_device
        source = CachedFeatures(model, data, passes=phase.cache, device=device, progress=progress)
    if checkpoint:
        epoch, batch = place_in(checkpoint)
        source.resume_at(epoch=epoch, batch=batch)
    model.train()
    with bypassed(model) if phase.cache else nullcontext():
        try:
            trainer.fit(model, source, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as stop:  # Lightning raises it after Ctrl-C
            raise KeyboardInterrupt from stop


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


def _broadcast_state(model: SelfExplaining) -> None:
    """Copy the state of the first process to all: running statistics differ between processes."""
    if _is_distributed():
        for tensor in model.state_dict().values():
            contiguous = tensor.contiguous()
            dist.broadcast(contiguous, 0)
            tensor.copy_(contiguous)


def _trainer(
    args: TrainerArgs, phase: Phase, logs: list[Logger], running: Path, limit: int | None, callbacks: list[Callback]
) -> pl.Trainer:
    return pl.Trainer(
        accelerator=args.accelerator,
        devices=args.devices,
        strategy=args.strategy,
        precision=args.precision,
        max_epochs=min(phase.epochs, 1) if limit else phase.epochs,
        gradient_clip_val=phase.clip,
        logger=logs,
        callbacks=[Resumable(running, args.save_every), *callbacks],
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=any(isinstance(c, TQDMProgressBar) for c in callbacks),
        use_distributed_sampler=False,
        log_every_n_steps=10,
        deterministic="warn",
        limit_train_batches=limit or None,
        limit_val_batches=limit or None,
    )


def _bars(progress: bool) -> list[Callback]:
    return [TQDMProgressBar(leave=False)] if progress else []


@rank_zero_only
def _save(model: SelfExplaining, done: Path, running: Path) -> None:
    """Write the finished phase atomically, then remove its resumable checkpoint."""
    part = done.with_suffix(".part")
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, part)
    os.replace(part, done)
    running.unlink(missing_ok=True)
