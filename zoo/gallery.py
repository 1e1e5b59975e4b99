"""The vocabulary of a model as pictures: which piece of which training sample each unit is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch

from zoo.batch import content_hash
from zoo.report.heat import box
from zoo.report.source import Source

if TYPE_CHECKING:
    from zoo.data.base import Data
    from zoo.models.base import SelfExplaining


@torch.no_grad()
def sources(model: SelfExplaining, data: Data, units: Iterable[int], *, batch_size: int = 64) -> dict[int, Source]:
    """Where units came from, for those that came from a training sample that ``data`` has, bit for bit.

    The piece is the box around the strongest 5 % of the unit's evidence in its own training sample.

    Args:
        model: trained, in eval mode.
        data: what it was trained on.
        units: ids.
        batch_size: samples explained at a time.
    """
    if (origin := model.sources()) is None:
        return {}
    found: dict[int, Source] = {}
    wanted = sorted({int(u) for u in units if u >= 0 and 0 <= origin.index[int(u)] < len(data.splits["train"])})
    for start in range(0, len(wanted), batch_size):
        ids = wanted[start : start + batch_size]
        batch = data.samples("train", [int(origin.index[u]) for u in ids])
        where = model.explain(batch.x, shown=torch.tensor(ids)[:, None]).where
        pictures = data.picture(batch.x)
        same = (content_hash(batch.x) == origin.content[ids]).tolist()
        for n, unit in enumerate(ids):
            if not same[n]:
                continue
            spot = None if where is None else box(where[n, 0], data.size)
            name = data.name_of("train", int(origin.index[unit]))
            found[unit] = Source(pictures[n], spot, f"training picture {name}, {data.class_names[int(batch.y[n])]}")
    return found


def unit_names(model: SelfExplaining, data: Data, origins: Mapping[int, Source]) -> list[str]:
    """One line for each unit: what it argues for and, where known, which training sample it came from."""
    units, lines = model.units, []
    for u, name in enumerate(units.names):
        owner = -1 if units.owner is None else int(units.owner[u])
        argues = f", for {data.class_names[owner]}" if owner >= 0 else ""
        lines.append(f"{name}{argues}" + (f", from {origins[u].caption}" if u in origins else ""))
    return lines
