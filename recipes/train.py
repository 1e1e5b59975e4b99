"""Train: build, train phase by phase, score on the test split, save a checkpoint and its page."""

import shlex
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Unpack, overload

from torch import nn

from zoo.config import Settings, keyword_overrides
from zoo.config.seed_group import split_seeds
from zoo.data.own.loaders import check_one_process, own_data
from zoo.evaluation.finish_run import finish_run
from zoo.recipe_support.dry_run import dry_run as run_dry
from zoo.recipe_support.recipe_results import SeedsResult, TrainResult
from zoo.recipe_support.seed_runs import train_seeds
from zoo.recipe_support.train_options import TrainOptions
from zoo.training.check import check_run
from zoo.training.phases import run_phases
from zoo.training.process_settings import prepared
from zoo.training.run import build, load_config, report_inputs
from zoo.training.run_folder import RunFolder, is_first_process


@overload
def train(config: str | Path, *, seeds: Sequence[int], **options: Unpack[TrainOptions]) -> SeedsResult: ...
@overload
def train(config: str | Path, *, seeds: None = None, **options: Unpack[TrainOptions]) -> TrainResult: ...
@prepared
def train(
    config: str | Path,
    *,
    seeds: Sequence[int] | None = None,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: bool = False,
    command: str | None = None,
    data: Any = None,
    class_names: Sequence[str] | None = None,
    backbone: nn.Module | None = None,
    **keys: Any,
) -> TrainResult | SeedsResult:
    """Train the model of a config and write its run folder; with ``seeds`` one run for each, and their table.

    Args:
        config: name of a shipped config (``protopnet/digits``) or path of a YAML file.
        seeds: seeds of a group of runs, in the folders ``seed-0``, ``seed-1``, ... of ``out``.
        overrides: ``key=value`` strings, as on the command line.
        out: run folder; by default ``runs/<name of the config>``.
        resume: continue an interrupted run, or a group, of the same config; the result is bit-identical.
        overwrite: replace an older run in that folder.
        dry_run: run one batch through everything and write nothing.
        progress: show progress bars.
        command: recorded in the checkpoint as the command of the run.
        data: arguments of the data source, ``{"limit": 100}``; or your own data: a LightningDataModule, loaders
            ``{"train": loader, "val": loader, "test": loader}`` of ``(x, y)``, or a ``Data``.
        class_names: of your own data; None to number the classes.
        backbone: a module of your own instead of the backbone of the config.
        keys: overrides of other top-level keys: ``seed=1``, ``phases={"joint": {"epochs": 5}}``.

    Raises:
        ValueError: a mistake in the config, or a folder that already holds something.

    Example:
        >>> import zoo
        >>> result = zoo.train("protopnet/digits", seed=1, out="runs/first")  # doctest: +SKIP
        >>> zoo.train("protopnet/digits", seeds=[0, 1, 2]).spread["accuracy"]  # doctest: +SKIP
    """
    own = None if data is None else own_data(data, class_names)
    if own is None and data is not None:
        keys["data"] = data
    listed, others = split_seeds(overrides)
    all_overrides = [*keyword_overrides(keys), *others]
    folder = Path(out) if out else Path("runs") / str(config).removesuffix(".yaml").strip("./").replace("/", "-")
    if (group := listed if seeds is None else seeds) is not None:
        how = {"resume": resume, "overwrite": overwrite, "dry_run": dry_run, "progress": progress}

        def one(*args: Any, **options: Any) -> Any:
            """Train one run; a module of the user starts afresh in each."""
            return train(*args, data=own, backbone=deepcopy(backbone), **options)

        return train_seeds(one, str(config), group, folder=folder, overrides=all_overrides, command=command, **how)
    resolved = load_config(str(config), all_overrides)
    if own is not None:
        check_one_process(own, resolved.trainer.devices)
        resolved["data"] = Settings({"name": own.name, "batch_size": own.batch_size})
    parts: dict[str, Any] = {"data": own, "backbone": backbone}
    if dry_run:
        return run_dry(resolved, parts)
    command = command or shlex.join(["zoo", "train", str(config), *all_overrides])
    with RunFolder(folder, command=command, resume=resume, overwrite=overwrite) as run:
        model, source = build(resolved, **parts)
        check_run(model, source, resolved)
        source.setup()
        report_inputs(model)
        run.open(resolved)
        run.save_inputs(model)
        run.save_data(source)
        run_phases(model, source, resolved, folder, resume=resume, progress=progress)
        if not is_first_process():
            return TrainResult(model, {}, (), folder)
        evaluation = finish_run(model, source, resolved, folder, command=command, progress=progress)
    return TrainResult(model, evaluation.results, evaluation.rows, folder)
