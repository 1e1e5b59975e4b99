"""Several runs that differ in their seed: trained and scored one after another, in one table."""

from __future__ import annotations

import csv
import io
import json
import shlex
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.config.seed_group import check_seeds, is_finished
from zoo.metrics.score_result import Result
from zoo.recipe_support.recipe_results import SeedsResult
from zoo.reporting.context import ScoreRow
from zoo.training.atomic_files import write_whole
from zoo.training.run import load_checkpoint, load_config
from zoo.training.run_folder import config_differences

Scores = Mapping[str, Mapping[str, Any]]  # by name, as ``Result.to_json`` returns them


def train_seeds(
    train: Callable[..., Any],
    config: str,
    seeds: Sequence[int],
    *,
    folder: Path,
    overrides: Sequence[str],
    command: str | None,
    resume: bool,
    overwrite: bool,
    dry_run: bool,
    progress: bool,
) -> SeedsResult:
    """Train one run for each seed in ``<folder>/seed-<seed>``, and write the table of their scores.

    Args:
        train: the recipe of one run.
        config: name or path.
        seeds: of the runs.
        folder: of the group.
        overrides: of all runs.
        command: command line of the group, without the seeds.
        resume: continue a group: finished runs are read, an interrupted one is continued.
        overwrite: replace older runs.
        dry_run: run one batch of each seed and write nothing.
        progress: show progress bars.

    Raises:
        ValueError: as ``train``; also if a run exists that is neither to be resumed nor replaced, if a finished run has
            another config, or if the config asks for several devices.
    """
    seeds = check_seeds(seeds, overrides)
    resolved = load_config(config, overrides)
    if resolved.trainer.devices != 1:
        raise ValueError(f"trainer.devices is {resolved.trainer.devices}; a group of seeds is trained on one device")
    if (folder / "config.yaml").is_file():
        raise ValueError(f"{folder} holds a single run; choose another --out for the group of seeds")
    runs = {seed: folder / f"seed-{seed}" for seed in seeds}
    existing = [run for run in runs.values() if run.is_dir() and any(run.iterdir())]
    if existing and not (resume or overwrite or dry_run):
        raise ValueError(
            f"{existing[0]} exists; add --resume to continue the group, --overwrite to replace it, or choose another"
            " --out"
        )
    done = [seed for seed, run in runs.items() if resume and not dry_run and is_finished(run)]
    for seed in done:
        if differences := config_differences(runs[seed], load_config(config, [*overrides, f"seed={seed}"])):
            raise ValueError(
                f"{runs[seed]} was trained with another config ({', '.join(differences)}); --overwrite replaces it"
            )
    name = folder.name
    scores: dict[int, Scores] = {}
    command = command or shlex.join(["zoo", "train", config, *overrides])
    for seed, run in runs.items():
        if seed in done:
            scores[seed] = read_scores(run / "checkpoint" / "metrics.json")
            continue
        result = train(
            config,
            overrides=[*overrides, f"seed={seed}"],
            out=run,
            resume=resume and run.is_dir(),
            overwrite=overwrite,
            dry_run=dry_run,
            progress=progress,
            command=f"{command} seed={seed}",
        )
        scores[seed] = {key: value.to_json() for key, value in result.scores.items()}
        if not dry_run:
            write_table(summary(name, resolved.data.name, scores, folder))
    result = summary(name, resolved.data.name, scores, None if dry_run else folder)
    if not dry_run:
        write_table(result)
    return result


def evaluate_seeds(
    evaluate: Callable[..., Any],
    runs: Mapping[int, Path],
    *,
    suite: str,
    overrides: Sequence[str],
    out: str | Path | None,
    resume: bool,
    overwrite: bool,
    dry_run: bool,
    progress: bool,
) -> SeedsResult:
    """Score each run of a group in ``<out>/seed-<seed>``, and write the table of their scores.

    Args:
        evaluate: the recipe for one checkpoint.
        runs: run folders by seed.
        suite: the scores.
        overrides: of all runs.
        out: folder of the evaluation; None for one under ``runs``.
        resume: keep the finished evaluations of the same suite, data and checkpoint.
        overwrite: replace older evaluations.
        dry_run: score one batch of each and write nothing.
        progress: show progress bars.

    Raises:
        ValueError: as ``evaluate``; also if a run is not finished.
    """
    group = next(iter(runs.values())).parent
    if unfinished := [run for run in runs.values() if not is_finished(run)]:
        raise ValueError(f"{unfinished[0]} is not finished; continue the group with `zoo train ... --resume`")
    folder = Path(out) if out else Path("runs") / f"evaluate-{group.resolve().name}-{Path(suite).stem}"
    scores: dict[int, Scores] = {}
    for seed, run in runs.items():
        target = folder / f"seed-{seed}"
        keep = resume and not dry_run and _newer(target / "metrics.json", run / "checkpoint" / "metrics.json")
        if keep and (command := _command(target)) != evaluation_command(str(run), overrides, suite):
            raise ValueError(f"{target} is another evaluation ({command}); --overwrite replaces it")
        if not keep:
            options = {"suite": suite, "overrides": overrides, "out": target, "dry_run": dry_run}
            result = evaluate(run, **options, overwrite=overwrite or resume, progress=progress)
            scores[seed] = {key: value.to_json() for key, value in result.scores.items()}
        else:
            scores[seed] = read_scores(target / "metrics.json")
    _, config = load_checkpoint(str(next(iter(runs.values()))), overrides)
    result = summary(group.resolve().name, config.data.name, scores, None if dry_run else folder)
    if not dry_run:
        write_table(result)
    return result


def evaluation_command(name: str, overrides: Sequence[str], suite: str) -> str:
    """Return the command line that evaluates a checkpoint, as its ``metrics.json`` records it."""
    return shlex.join(["zoo", "evaluate", name, *overrides, "--suite", suite])


def _newer(file: Path, other: Path) -> bool:
    return file.is_file() and file.stat().st_mtime_ns >= other.stat().st_mtime_ns


def _command(folder: Path) -> str:
    return str(json.loads((folder / "metrics.json").read_text(encoding="utf-8")).get("command"))


def read_scores(file: Path) -> Scores:
    """Return the scores in a ``metrics.json``.

    Raises:
        ValueError: if the file is damaged; names it.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))["scores"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{file} is damaged; remove its run and train it again") from error


def summary(name: str, data: str, scores: Mapping[int, Scores], folder: Path | None) -> SeedsResult:
    """Return mean and spread over seeds of every score; the spread is the standard deviation (n - 1).

    Args:
        name: of the group.
        data: name of the data.
        scores: by seed, as ``Result.to_json`` returns them.
        folder: of the group; None for a dry run.

    Example:
        >>> runs = {seed: {"accuracy": {"value": value, "protocol": "top1"}} for seed, value in ((0, 0.5), (1, 0.7))}
        >>> result = summary("group", "digits", runs, None)
        >>> result.rows[0].value, round(result.scores["accuracy"].value, 6)
        ('0.6 ± 0.1414', 0.6)
    """
    results: dict[str, Result] = {}
    by_seed: dict[str, dict[int, float | None]] = {}
    spread: dict[str, float | None] = {}
    for key in dict.fromkeys(key for each in scores.values() for key in each):
        entries = {seed: each.get(key, {"value": None}) for seed, each in scores.items()}
        by_seed[key] = {seed: entry["value"] for seed, entry in entries.items()}
        values = [value for value in by_seed[key].values() if value is not None]
        spread[key] = statistics.stdev(values) if len(values) > 1 else None
        protocols = dict.fromkeys(entry["protocol"] for entry in entries.values() if "protocol" in entry)
        results[key] = Result(
            key,
            statistics.fmean(values) if values else None,
            ", ".join(protocols),
            support=len(values),
            note=_note(entries, len(protocols)),
        )
    rows = [_row(result, by_seed[key], spread[key]) for key, result in results.items()]
    return SeedsResult(name, data, results, rows, folder, tuple(scores), by_seed, spread)


def write_table(result: SeedsResult) -> None:
    """Write ``seeds.json`` and ``seeds.csv``: the mean, the spread and every seed of each score."""
    assert result.folder is not None
    columns = ["score", "protocol", "mean", "spread", *(f"seed {seed}" for seed in result.seeds)]
    lines = io.StringIO()
    table = csv.writer(lines, lineterminator="\n")
    table.writerow(columns)
    record = {}
    for key, score in result.scores.items():
        values = result.by_seed[key]
        table.writerow([key, score.protocol, score.value, result.spread[key], *values.values()])
        record[key] = {
            "mean": score.value,
            "spread": result.spread[key],
            "protocol": score.protocol,
            "seeds": {str(seed): value for seed, value in values.items()},
        } | ({"note": score.note} if score.note else {})
    result.folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"data": result.data, "seeds": list(result.seeds), "scores": record}, indent=1)
    write_whole(result.folder / "seeds.json", content.encode() + b"\n")
    write_whole(result.folder / "seeds.csv", lines.getvalue().encode())


def _row(result: Result, values: Mapping[int, float | None], spread: float | None) -> ScoreRow:
    title = result.name.replace("_", " ")
    if result.value is None:
        return ScoreRow(title, result.note or "n/a", result.protocol)
    text = f"{result.value:.4g}" + ("" if spread is None else f" ± {spread:.4g}")
    each = ", ".join("n/a" if value is None else f"{value:.4g}" for value in values.values())
    return ScoreRow(title, text, result.protocol, f"{each}; {result.note}" if result.note else each)


def _note(entries: Mapping[int, Mapping[str, Any]], protocols: int) -> str:
    missing = {seed: entry.get("note", "n/a") for seed, entry in entries.items() if entry["value"] is None}
    if len(missing) == len(entries):
        return next(iter(missing.values()))
    notes = [f"seed {seed}: {note}" for seed, note in missing.items()]
    return "; ".join([*notes, "protocols differ"] if protocols > 1 else notes)
