"""The vocabulary of a model for readers: training sample or template of each unit, and one line on each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from zoo import paths
from zoo.batch import content_hash
from zoo.capabilities import HasShapeFunctions, HasSources, HasUnitTemplates, Sources, capability
from zoo.checkpoint import SHEET, WEIGHTS, read_units
from zoo.data.base import Data
from zoo.evaluation.units import notes
from zoo.model import SelfExplaining
from zoo.reporting.contact_sheet import read_contact_sheet
from zoo.reporting.figures.shape_plot import ShapePlot, shape_plots
from zoo.reporting.heatmap import box
from zoo.reporting.unit_picture import Source
from zoo.weights.integrity import file_hash


@torch.no_grad()
def sources(
    model: SelfExplaining,
    data: Data,
    units: Iterable[int],
    *,
    batch_size: int = 64,
    stored: Path | None = None,
    search: bool = False,
) -> dict[int, Source]:
    """Return where units came from, for those taken from a training sample that ``data`` has, bit-identical.

    The patch is the box around the strongest 5 % of the unit's evidence in its own training sample. Units that were not
    taken from samples but have a template over pictures are shown as their template.

    Args:
        model: trained, in eval mode.
        data: what it was trained on.
        units: ids; negative ones are left out.
        batch_size: samples explained at a time.
        stored: folder of the checkpoint; then units taken from samples are shown as in its ``units.png``, or in the one
            that ``zoo show --pictures`` drew, and no data are read.
        search: look through the whole training split for samples that are not where they were, by their content.
    """
    ids = sorted({int(u) for u in units if u >= 0})
    prototypes = capability(model, HasSources)
    if prototypes is not None and stored is not None:
        return _from_sheet(stored, ids)
    if prototypes is not None:
        return _from_samples(model, prototypes.sources(), data, ids, batch_size, search)
    templates = capability(model, HasUnitTemplates)
    if templates is None or not ids or len(data.input_shape) != 3:
        return {}
    return {
        u: Source(t.sum(0), None, "") for u, t in zip(ids, templates.unit_templates(torch.tensor(ids)), strict=True)
    }


def sheet_folder(folder: Path) -> Path:
    """Return the folder of the contact sheet of a checkpoint: its own, or the one where a drawn sheet is kept."""
    drawn = drawn_folder(folder)
    return folder if (folder / SHEET).is_file() or not drawn.is_dir() else drawn


def drawn_folder(folder: Path) -> Path:
    """Return the folder in the user's cache that keeps the drawn sheet of these weights."""
    return paths.cache() / "pictures" / file_hash(folder / WEIGHTS)[:16]


def _from_sheet(folder: Path, units: list[int]) -> dict[int, Source]:
    """Return the pictures of units in the contact sheet of a checkpoint; empty if there is none, or one of others."""
    folder = sheet_folder(folder)
    lines = read_units(folder)
    pictured = [unit for unit, line in enumerate(lines) if ", from " in line]
    if not (folder / SHEET).is_file():
        return {}
    with Image.open(folder / SHEET) as sheet:
        tiles = read_contact_sheet(sheet.convert("RGB"), pictured)
    picture = {unit: torch.from_numpy(np.array(tiles[unit])).permute(2, 0, 1) / 255 for unit in units if unit in tiles}
    return {unit: Source(tile, None, lines[unit].rpartition(", from ")[2]) for unit, tile in picture.items()}


def _from_samples(
    model: SelfExplaining, origin: Sources, data: Data, units: list[int], batch_size: int, search: bool
) -> dict[int, Source]:
    """Return the training sample and patch of units that were taken from samples."""
    pictured: dict[int, Source] = {}
    sample = _located(origin, data, units, batch_size, search)
    found = sorted(sample)
    for start in range(0, len(found), batch_size):
        ids = found[start : start + batch_size]
        batch = data.samples("train", [sample[u] for u in ids])
        pictures = data.to_image(batch.x)
        if pictures is None:
            return {}
        where = model.explain(batch.x, shown=torch.tensor(ids)[:, None]).where
        for n, unit in enumerate(ids):
            patch = None if where is None else box(where[n, 0], (pictures.shape[-2], pictures.shape[-1]))
            name = data.name_of("train", sample[unit])
            pictured[unit] = Source(
                pictures[n], patch, f"training picture {name}, {data.class_names[int(batch.targets[n])]}"
            )
    return pictured


def _located(origin: Sources, data: Data, units: list[int], batch_size: int, search: bool) -> dict[int, int]:
    """Return the training sample of each unit whose sample the data have, bit-identical."""
    count = len(data.splits["train"])
    known = [u for u in units if 0 <= origin.index[u] < count]
    sample: dict[int, int] = {}
    for start in range(0, len(known), batch_size):
        ids = known[start : start + batch_size]
        indices = [int(origin.index[u]) for u in ids]
        same = content_hash(data.samples("train", indices).x) == origin.content[ids]
        sample |= {u: i for u, i, is_same in zip(ids, indices, same.tolist(), strict=True) if is_same}
    wanted = {u: int(origin.content[u]) for u in units if u not in sample and origin.index[u] >= 0}
    if search and wanted:
        at: dict[int, int] = {}
        for ids in torch.arange(count).split(batch_size):
            hashes = content_hash(data.samples("train", ids.tolist()).x).tolist()
            at |= {content: i for content, i in zip(hashes, ids.tolist(), strict=True) if content not in at}
        sample |= {u: at[content] for u, content in wanted.items() if content in at}
    return sample


def shapes(model: SelfExplaining) -> list[ShapePlot]:
    """Return the drawings of the shape functions of an additive model; empty for other models."""
    additive = capability(model, HasShapeFunctions)
    if additive is None:
        return []
    return shape_plots(additive.shape_functions(), model.class_names, additive.bin_text, additive.value_text)


def unit_lines(model: SelfExplaining, data: Data, origins: Mapping[int, Source]) -> list[str]:
    """Return one line for each unit: name, class, training sample, and the text after which it is active."""
    units = model.units
    triggers = notes.token_triggers_of(model, data)
    lines = []
    for u, name in enumerate(units.names):
        owner = -1 if units.owner is None else int(units.owner[u])
        line = name
        if owner >= 0:
            line += f", for {data.output_names[owner]}"
        if u in origins and origins[u].caption:
            line += f", from {origins[u].caption}"
        if u in triggers:
            line += f", {triggers[u]}"
        lines.append(line)
    return lines
