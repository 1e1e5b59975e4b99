"""Predict: answers, probabilities and the deciding units for new files, written as they are computed."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from zoo import checkpoint
from zoo.prediction import check_predictor, join, stream
from zoo.prediction.processes import predict_on, process_count
from zoo.prediction.writer import PredictionWriter
from zoo.recipe_support.recipe_results import PredictResult
from zoo.training.process_settings import prepared

LISTED = 20  # remarks kept in the result when predictions are written to a file


@prepared
def predict(
    name: str | Path,
    inputs: Any,
    *,
    out: str | Path | None = None,
    shown: int = 3,
    batch_size: int | None = None,
    skip_bad: bool = False,
    strict: bool = False,
    overwrite: bool = False,
    devices: int = 1,
    on_progress: Callable[[int], object] | None = None,
) -> PredictResult:
    """Predict new inputs with a checkpoint; the training data are not needed.

    Args:
        name: checkpoint or run folder.
        inputs: a folder, file, DataFrame, image, array or list of such, as the inputs of the model read them.
        out: file to write, .csv, .jsonl or .parquet, in constant memory; by default the predictions are returned.
        shown: number of units named for each input; 0 for none.
        batch_size: inputs per forward pass; None for 1024 short rows, or 256 of anything else.
        skip_bad: skip inputs that cannot be read and list them; otherwise the first one is an error.
        strict: refuse inputs with an unusual value, such as a level that was not in the training data.
        overwrite: replace ``out``.
        devices: number of processes; with more than one, or under ``torchrun``, ``out`` is a folder with one shard of
            the rows for each.
        on_progress: called with the number of inputs after each batch of them.

    Raises:
        ValueError: no such checkpoint, a checkpoint without inputs, an input that cannot be read, or ``out`` exists.

    Example:
        >>> import zoo
        >>> zoo.predict("runs/mine", "new.csv").prediction.to_pandas()  # doctest: +SKIP
        >>> zoo.predict("runs/mine", "new.csv", out="answers.csv").count  # doctest: +SKIP
    """
    if devices < 1:
        raise ValueError(f"devices is {devices}; expected 1 or more processes")
    model = checkpoint.load(str(name))
    if (processes := process_count(devices)) > 1:
        how = {"shown": shown, "strict": strict, "skip": skip_bad, "overwrite": overwrite}
        return _on_processes(model, inputs, out, processes, **how)
    options = {"shown": shown, "batch_size": batch_size, "strict": strict, "skip": skip_bad}
    writer = None if out is None else PredictionWriter(out, overwrite=overwrite)
    parts, notes, skipped, flags = [], {}, [], []
    count = n_skipped = n_flags = 0
    with writer or nullcontext():
        for part in stream(model, inputs, **options):
            if writer is None:
                parts.append(part)
            else:
                writer.write(part)
            count += len(part)
            n_skipped += len(part.skipped)
            n_flags += len(part.flags)
            skipped += part.skipped[: LISTED - len(skipped)]
            flags += part.flags[: LISTED - len(flags)]
            notes |= dict.fromkeys(part.notes)
            if on_progress is not None:
                on_progress(len(part))
        if not count + n_skipped:
            raise ValueError("there is nothing to predict: no input was given")
    return PredictResult(
        prediction=None if writer else join(parts),
        count=count,
        skipped=_with_rest(skipped, n_skipped),
        flags=_with_rest(flags, n_flags),
        notes=tuple(notes),
        file=writer and writer.path,
        remarks=writer.remarks if writer and n_skipped + n_flags else None,
    )


def _on_processes(model: Any, inputs: Any, out: str | Path | None, devices: int, **options: Any) -> PredictResult:
    if out is None:
        raise ValueError("several processes write their rows to a folder; name it with -o, such as -o out.parquet")
    check_predictor(model)
    totals = predict_on(model, inputs, Path(out), devices=devices, **options)
    if not totals["count"] + totals["skipped"]:
        raise ValueError("there is nothing to predict: no input was given")
    return PredictResult(
        prediction=None,
        count=totals["count"],
        skipped=_with_rest([], totals["skipped"]),
        flags=_with_rest([], totals["flags"]),
        notes=(),
        file=Path(out),
        remarks=Path(out) if totals["skipped"] + totals["flags"] else None,
    )


def _with_rest(flags: Sequence[object], total: int) -> tuple[str, ...]:
    """Return the listed remarks as text, and one line on those that are not listed."""
    return (*map(str, flags), *([f"and {total - len(flags)} more"] if total > len(flags) else []))
