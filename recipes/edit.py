"""Edit: strike out, merge, flatten or rename units of a trained model; a new checkpoint keeps the history."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo import checkpoint
from zoo.config import keyword_overrides
from zoo.editing.engine import apply_edits, operations_of, undo_edits
from zoo.evaluation.edits.edit_scores import check_slices, score_changes
from zoo.evaluation.edits.edited_checkpoint import write_edited
from zoo.evaluation.edits.given_edits import dated, given_edits, worst_edits
from zoo.evaluation.run_facts import run_facts
from zoo.recipe_support.recipe_results import EditResult
from zoo.training.process_settings import prepared
from zoo.training.run import data_of, load_checkpoint


@prepared
def edit(
    name: str | Path,
    edits: Sequence[Mapping[str, Any] | str] | str | Path = (),
    *,
    undo: int | None = None,
    worst: int | None = None,
    by: str = "consistency",
    how: str = "remove",
    suite: str | None = "quick",
    slices: str | None = None,
    data: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: bool = False,
) -> EditResult:
    """Apply edits to a checkpoint and write the result as a new one; without any, list its history and operations.

    Args:
        name: checkpoint or run folder.
        edits: mappings such as ``{"operation": "remove", "unit": "wing #0", "why": "..."}`` in order,
            ``key=value`` texts as on the command line, or the path of a YAML file.
        undo: instead, take back so many of its last edits; 0 for all. The tensors are bit-identical to those before.
        worst: first edit so many units of the lowest values of a score.
        by: that score, measured on the validation split, or without one on the training split.
        how: the operation on these units.
        suite: scores before and after; None to measure none, then no data are read unless an edit needs them.
        slices: column of a table for whose groups scores are given too; by default for the classes.
        data: arguments of the data source to override.
        overrides: ``data.key=value`` and ``trainer.accelerator=value`` strings, as on the command line.
        out: folder of the new checkpoint; by default ``runs/<name>-edited``.
        overwrite: replace a checkpoint in that folder, which may be the one that is edited.
        dry_run: score one batch and write nothing.
        progress: show progress bars.

    Raises:
        ValueError: no such checkpoint, operation, unit, score or argument, an edit of another model, or a folder that
            already holds something.

    Example:
        >>> import zoo
        >>> row = {"operation": "remove", "unit": "class 3 #1", "why": "it matches the border"}
        >>> len(zoo.edit("protopnet-digits", [row], suite=None, dry_run=True).model.units)
        48
    """
    name, title = str(name), checkpoint.title(str(name))
    model, config = load_checkpoint(name, [*keyword_overrides({"data": data or {}}), *overrides])
    operations = operations_of(model)
    about = {key: operation.about for key, operation in operations.items()}
    check_slices(model, slices)
    listed = given_edits(edits, model, name)
    if undo is not None and (listed or worst is not None):
        raise ValueError("undo takes back edits; expected no others beside it")
    if undo is None and not listed and worst is None:
        return EditResult(title, model, () if model.history is None else model.history.lines(), about, (), None)
    folder = Path(out) if out else Path("runs") / f"{title}-edited"
    if not (dry_run or overwrite) and folder.exists():
        raise ValueError(f"{folder} exists; add --overwrite to replace it, or choose another --out")
    options = {"accelerator": config.trainer.accelerator, "progress": progress}
    needed = any(one.operation in operations and operations[one.operation].needs_data for one in listed)
    if worst is not None or suite is not None or needed:
        source = data_of(config, model)
        if not source.is_available and (suite is not None or needed):
            raise ValueError(f"the data of {name} are not on this machine; name them with data.*, or add --no-scores")
    else:
        source = None
    if worst is not None and source is not None:
        listed = [*worst_edits(model, source, name, worst=worst, by=by, how=how, **options), *listed]
    if undo is not None:
        edited = undo_edits(model, undo or None)
    else:
        train = source.loader("train") if source is not None and needed else None
        edited = apply_edits(model, dated(listed), name=title, train=train)
    changes, results = (), None
    if suite is not None and source is not None:
        changes, (_, results) = score_changes(
            model, edited, source, suite, by=slices, limit=1 if dry_run else None, **options
        )
    if not dry_run:
        facts = run_facts(config, source, f"zoo edit {name}") if results and source is not None else {}
        figures = {"changes": changes, "results": results, "facts": facts}
        folder = write_edited(edited, checkpoint.find(name), folder, config, **figures)
    lines = () if edited.history is None else edited.history.lines()
    return EditResult(title, edited, lines, about, changes, None if dry_run else folder)
