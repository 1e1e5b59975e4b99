"""The edits that a caller gave: mappings, a file, or texts of a command line."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zoo import checkpoint
from zoo.data.base import Data
from zoo.editing.edit_file import Edit, read_edit_file, read_edits
from zoo.editing.engine import operations_of
from zoo.editing.statements import read_statements
from zoo.evaluation.edits.worst_units import measured_values, stored_values, worst_units
from zoo.model import SelfExplaining
from zoo.weights.integrity import tensor_hash

log = logging.getLogger("zoo")


def given_edits(edits: Sequence[Mapping[str, Any] | str] | str | Path, model: SelfExplaining, name: str) -> list[Edit]:
    """Return edits in order.

    Args:
        edits: mappings, ``key=value`` texts as on the command line, or the path of a YAML file.
        model: that is edited.
        name: of its checkpoint.

    Raises:
        ValueError: if an edit is not understood, or a file is of another model.
    """
    if isinstance(edits, str | Path):
        file = read_edit_file(Path(edits))
        file.check(tensor_hash(model.state_dict()), name, str(edits))
        return list(file.edits)
    texts = [one for one in edits if isinstance(one, str)]
    if len(texts) == len(edits):
        return list(read_statements(texts, operations_of(model)))
    return list(read_edits(edits))


def worst_edits(
    model: SelfExplaining, data: Data, name: str, *, worst: int, by: str, how: str, accelerator: str, progress: bool
) -> list[Edit]:
    """Return one edit for each of the units of the lowest values of a score, lowest first.

    Args:
        model: that is edited.
        data: on whose validation or training split the score is measured; where they are not on this machine, the
            values of the test split in ``metrics.json`` choose, which then makes the scores there optimistic.
        name: of the checkpoint.
        worst: number of units.
        by: the score.
        how: the operation.
        accelerator: as in ``zoo.evaluation.scoring.score``.
        progress: show a progress bar.
    """
    if data.is_available:
        values, split = measured_values(model, data, by, accelerator=accelerator, progress=progress)
    else:
        values, split = stored_values(checkpoint.read(checkpoint.find(name))[1], by, len(model.units)), "test"
        if values is None:
            raise ValueError(
                f"the data of {name} are not on this machine, and its metrics.json has no {by} of each unit"
            )
        log.warning("%s is that of the test split in metrics.json: scores there will be optimistic", by)
    why = f"one of the {worst} lowest of {by} ({split} split)"
    return [Edit(how, unit, why=why) for unit in worst_units(values, worst, list(model.units.names))]


def dated(edits: Sequence[Edit]) -> list[Edit]:
    """Return the edits, those without a time with that of now."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [replace(edit, when=edit.when or now) for edit in edits]
