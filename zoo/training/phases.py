"""Training as a sequence of phases: one ``Trainer.fit`` each, then methods of the model, then the weights on disk.

DDP builds its reducer once, at the start of a fit, so parameters unfrozen later would differ between ranks without
warning: hence one fit per phase. A finished phase writes ``phases/<i>-<name>.safetensors``, a running one a resumable
``.ckpt`` beside it.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Callback, TQDMProgressBar
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from tqdm import tqdm

from zoo import paths
from zoo.config import Settings, TrainerArgs
from zoo.data.base import Data
from zoo.model import SelfExplaining
from zoo.phase import Phase, methods
from zoo.runtime.denormals import denormals_as_zero
from zoo.runtime.terminal import printable
from zoo.training.atomic_files import WholeCheckpoint, place_in, read_weights, write_weights
from zoo.training.cache import CachedFeatures, backbone_of, features_as_inputs
from zoo.training.callbacks import LOG_EVERY, FiniteLoss, Resumable
from zoo.training.check import check_phases
from zoo.training.feature_store import FeatureStore
from zoo.training.lean_loop import LeanLoop
from zoo.training.loggers import CsvLog, rewind_log, trackers

LOST_PROCESS = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL", "gloo")


@denormals_as_zero()
def run_phases(
    model: SelfExplaining,
    data: Data,
    config: Settings,
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
        ValueError: if a phase names a part, loss term or method that the model does not have; if a loss or a tensor is
            not finite; if a file of the run to be resumed is damaged.
        ConnectionError: if another process of a distributed run has ended.
    """
    try:
        _run_phases(model, data, config, out, resume, limit, callbacks or [], progress)
    except RuntimeError as error:
        if not _is_distributed() or not any(word in str(error) for word in LOST_PROCESS):
            raise
        raise ConnectionError("another process of the run has ended") from error


def _run_phases(
    model: SelfExplaining,
    data: Data,
    config: Settings,
    out: Path,
    resume: bool,
    limit: int | None,
    callbacks: list[Callback],
    progress: bool,
) -> None:
    check_phases(model, config)
    folder = out / "phases"
    if getattr(rank_zero_only, "rank", 0) == 0:  # other ranks must not create it before it is checked
        folder.mkdir(parents=True, exist_ok=True)
    if not config.trainer.channels_last and "backbone" in model.trainable_parts():
        backbone_of(model).to(memory_format=torch.contiguous_format)
    if config.trainer.compile:
        backbone_of(model).compile()
    if resume:
        _rewind(out / "log.csv", folder, list(config.phases))
    for i, (name, raw) in enumerate(config.phases.items()):
        phase = Phase(**raw)
        done = folder / f"{i}-{name}.safetensors"
        running = folder / f"{i}-{name}.ckpt"
        if resume and done.exists():
            _load(model, done)
            continue
        pl.seed_everything(config.seed + i, verbose=False)
        model.configure_phase(phase)
        log = CsvLog(out / "log.csv", name)
        start = time.time()
        logs = [log, *trackers(config.trainer.loggers, out, name)]
        own = [FiniteLoss(name), Resumable(running, config.trainer.save_every)]  # a loss is checked before it is saved
        trainer = _trainer(config.trainer, phase, logs, limit, [*own, *callbacks, *_bars(progress)])
        if phase.epochs:
            store = FeatureStore(paths.cache() / "features", limit=int(config.trainer.feature_cache_gb * 1e9))
            checkpoint = running if resume and running.exists() else None
            _fit(trainer, model, data, phase, checkpoint, store=store, progress=progress)
        model.to(trainer.strategy.root_device)
        _broadcast_state(model)
        for method, args in methods(phase.then).items():
            train = tqdm(
                data.loader("train"),
                desc=printable(f"{name}: {method}"),
                disable=None if progress else True,
                leave=False,
            )
            if args.get("val"):  # replaced by the loader of the validation split
                args |= {"val": data.loader("val")}
            numbers = getattr(model, method)(train, **args) or {}
            log.log_metrics({f"{method}/{k}": v for k, v in numbers.items()})
        model.configure_phase(Phase())
        model.eval().cpu()
        log.log_metrics({"seconds": round(time.time() - start, 2)})
        log.finalize("success")
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
    store: FeatureStore,
    progress: bool,
) -> None:
    source: Any = data
    if phase.cache:
        device = trainer.strategy.root_device
        half = trainer.precision == "bf16-mixed"
        options = {"passes": phase.cache, "device": device, "half": half, "store": store, "progress": progress}
        source = CachedFeatures(model, data, **options)
    ended = False  # the last epoch was finished before
    if checkpoint:
        epoch, batch, _ = place_in(checkpoint)
        ended = epoch >= phase.epochs
        source.resume_at(epoch=epoch, batch=batch)
    model.train()
    with features_as_inputs(model) if phase.cache else nullcontext():
        try:
            trainer.fit(model, source, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as stop:  # Lightning raises it in answer to a KeyboardInterrupt
            cause = stop.__context__
            raise (type(cause) if isinstance(cause, KeyboardInterrupt) else KeyboardInterrupt) from stop
    if ended:
        model.to(trainer.strategy.root_device)
        model.training_ended(source.val_dataloader())


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
    args: TrainerArgs, phase: Phase, logs: list[Logger], limit: int | None, callbacks: list[Callback]
) -> pl.Trainer:
    trainer = pl.Trainer(
        accelerator=args.accelerator,
        devices=args.devices,
        strategy=args.strategy,
        precision=args.precision,
        max_epochs=min(phase.epochs, 1) if limit else phase.epochs,
        gradient_clip_val=phase.clip,
        logger=logs,
        callbacks=callbacks,
        plugins=[WholeCheckpoint()],
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=any(isinstance(c, TQDMProgressBar) for c in callbacks),
        use_distributed_sampler=False,
        log_every_n_steps=LOG_EVERY,
        deterministic="warn",
        limit_train_batches=limit or None,
        limit_val_batches=limit or None,
    )
    trainer.fit_loop.epoch_loop = LeanLoop(trainer)
    return trainer


def _bars(progress: bool) -> list[Callback]:
    return [TQDMProgressBar(leave=False)] if progress else []


def _rewind(log: Path, folder: Path, phases: list[str]) -> None:
    """Remove the lines from the log that the resumed run will write again."""
    if getattr(rank_zero_only, "rank", 0) != 0:
        return None
    stems = [f"{i}-{name}" for i, name in enumerate(phases)]
    finished = [name for name, stem in zip(phases, stems, strict=True) if (folder / f"{stem}.safetensors").exists()]
    for name, stem in zip(phases, stems, strict=True):
        running = folder / f"{stem}.ckpt"
        if name not in finished and running.exists():
            return rewind_log(log, finished, name, place_in(running)[2])
    return rewind_log(log, finished)


def _load(model: SelfExplaining, done: Path) -> None:
    """Load the weights of a finished phase, which may have removed units."""
    try:
        model.load_state_dict(read_weights(done))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{done} does not fit the model ({reason}); remove it to repeat the phase") from error


@rank_zero_only
def _save(model: SelfExplaining, done: Path, running: Path) -> None:
    """Write the finished phase atomically, then remove its resumable checkpoint."""
    write_weights(done, model.state_dict(), f"phase {done.stem.partition('-')[2]}: {done.name}")
    running.unlink(missing_ok=True)
