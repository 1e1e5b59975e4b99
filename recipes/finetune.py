"""Fine-tune: start from a checkpoint, replace the named parts, then train as any run."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack, overload

import zoo
from zoo.config import keyword_overrides
from zoo.config.seed_group import split_seeds
from zoo.recipe_support.recipe_results import SeedsResult, TrainResult
from zoo.recipe_support.train_options import TrainOptions
from zoo.training.run import load_config


@overload
def finetune(
    config: str | Path,
    *,
    source: str | None = None,
    replace: Sequence[str] | None = None,
    seeds: Sequence[int],
    **options: Unpack[TrainOptions],
) -> SeedsResult: ...
@overload
def finetune(
    config: str | Path,
    *,
    source: str | None = None,
    replace: Sequence[str] | None = None,
    seeds: None = None,
    **options: Unpack[TrainOptions],
) -> TrainResult: ...
def finetune(
    config: str | Path,
    *,
    source: str | None = None,
    replace: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: bool = False,
    command: str | None = None,
    **keys: Any,
) -> TrainResult | SeedsResult:
    """Train the model of a config from the weights of a checkpoint.

    Args:
        config: name of a shipped config or path of a YAML file.
        source: checkpoint or run folder to start from; by default the one that the config names (``finetune.from``).
        replace: parts of the model that start afresh; every other tensor must fit exactly.
        seeds: seeds of a group of runs, see ``zoo.train``.
        overrides: ``key=value`` strings, as on the command line.
        out: run folder; by default ``runs/<name of the config>``.
        resume: continue an interrupted run of the same config; the result is bit-identical.
        overwrite: replace an older run in that folder.
        dry_run: run one batch through everything and write nothing.
        progress: show progress bars.
        command: recorded in the checkpoint as the command of the run.
        keys: overrides of top-level keys, see ``zoo.train``.

    Raises:
        ValueError: as ``zoo.train``; also if no checkpoint is named, or one of its tensors does not fit.

    Example:
        >>> import zoo
        >>> zoo.finetune("protopnet/digits", source="protopnet-digits", replace=["head"])  # doctest: +SKIP
    """
    finetuning = {} if source is None else {"from": source}
    finetuning |= {} if replace is None else {"replace": list(replace)}
    all_overrides = [*keyword_overrides(keys | ({"finetune": finetuning} if finetuning else {})), *overrides]
    listed, all_overrides = split_seeds(all_overrides)
    seeds = listed if seeds is None else seeds
    start = load_config(str(config), all_overrides).finetune
    if start is None or not start.source:
        raise ValueError(
            "no checkpoint to start from; add finetune.from=protopnet-digits and finetune.replace=[head,prototypes]"
        )
    return zoo.train(  # pyright: ignore[reportCallIssue]  # an overload for either kind of seeds
        config,
        seeds=seeds,  # pyright: ignore[reportArgumentType]
        overrides=all_overrides,
        out=out,
        resume=resume,
        overwrite=overwrite,
        dry_run=dry_run,
        progress=progress,
        command=command or shlex.join(["zoo", "finetune", str(config), *all_overrides]),
    )
