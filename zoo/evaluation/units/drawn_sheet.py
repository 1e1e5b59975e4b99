"""Pictures of the units of a checkpoint that has none, drawn from the user's own copy of its training data."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo import checkpoint
from zoo.capabilities import HasSources, capability
from zoo.evaluation.units import gallery
from zoo.reporting.contact_sheet import contact_sheet
from zoo.reporting.unit_picture import unit_picture
from zoo.training.run import data_of, load_checkpoint

BATCH = 64  # training samples read at a time


@dataclass(frozen=True)
class DrawnSheet:
    """A contact sheet of units.

    Attributes:
        folder: where ``units.png`` and ``units.yaml`` are.
        drawn: number of units whose training sample was found.
        missing: names of the units whose training sample is not among the data.
        without: number of units that were not taken from a sample.
    """

    folder: Path
    drawn: int
    missing: tuple[str, ...]
    without: int


def draw_sheet(name: str, overrides: Sequence[str] = (), *, out: str | Path | None = None) -> DrawnSheet:
    """Draw the units of a checkpoint from a copy of its training data, and keep the sheet for later pages.

    A training sample is recognized by the hash of its content, wherever it is in the training split.

    Args:
        name: checkpoint or run folder.
        overrides: ``data.key=value`` strings, such as ``data.root=...``.
        out: folder to write to; by default one in the user's cache, where ``zoo explain`` finds it.

    Raises:
        ValueError: if the units were not taken from training samples, or none of these is among the data.
    """
    model, config = load_checkpoint(name, overrides)
    origin = capability(model, HasSources)
    if origin is None:
        raise ValueError(f"the units of {name} were not taken from training samples, so that there is none to draw")
    data = data_of(config, model)
    taken = [u for u, index in enumerate(origin.sources().index.tolist()) if index >= 0]
    pictured = gallery.sources(model, data, taken, batch_size=BATCH, search=True)
    sheet = contact_sheet({unit: unit_picture(source) for unit, source in pictured.items()})
    if sheet is None:
        raise ValueError(
            f"none of the training samples of the {len(taken)} units of {name} is in the training split of these data"
            f" ({len(data.splits['train'])} samples); name your own copy of {config.data.name} with data.root=..., read"
            " with the options of the checkpoint"
        )
    folder = Path(out) if out else gallery.drawn_folder(checkpoint.find(name))
    lines = gallery.unit_lines(model, data, pictured)
    folder.mkdir(parents=True, exist_ok=True)
    text = checkpoint.units_text(model.units.kind, model.units.describe, lines)
    _replace(folder / checkpoint.UNITS, text.encode())
    picture = io.BytesIO()
    sheet.save(picture, format="PNG", optimize=True)
    _replace(folder / checkpoint.SHEET, picture.getvalue())
    missing = tuple(model.units.names[u] for u in taken if u not in pictured)
    return DrawnSheet(folder, len(pictured), missing, len(model.units) - len(taken))


def _replace(file: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(content)
    os.replace(part, file)
