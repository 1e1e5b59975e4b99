"""The vocabulary of a model for the eye: which piece of which training sample each unit is, its portrait, its truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.batch import content_hash
from zoo.explanation import Explanation
from zoo.reporting.heatmap import box
from zoo.reporting.token_triggers import Card, cards
from zoo.reporting.unit_source import Source

if TYPE_CHECKING:
    from zoo.data.base import Data
    from zoo.model import SelfExplaining


@torch.no_grad()
def sources(model: SelfExplaining, data: Data, units: Iterable[int], *, batch_size: int = 64) -> dict[int, Source]:
    """Where units came from, for those that came from a training sample that ``data`` has, bit for bit.

    The piece is the box around the strongest 5 % of the unit's evidence in its own training sample. Units that were not
    taken from samples but have a portrait, a pattern over pictures, come as that.

    Args:
        model: trained, in eval mode.
        data: what it was trained on.
        units: ids.
        batch_size: samples explained at a time.
    """
    if (origin := model.sources()) is None:
        ids = sorted({int(u) for u in units if u >= 0})
        shapes = None if not ids or len(data.input_shape) != 3 else model.unit_templates(torch.tensor(ids))
        return {} if shapes is None else {u: Source(p.sum(0), None, "") for u, p in zip(ids, shapes, strict=True)}
    found: dict[int, Source] = {}
    wanted = sorted({int(u) for u in units if u >= 0 and 0 <= origin.index[int(u)] < len(data.splits["train"])})
    for start in range(0, len(wanted), batch_size):
        ids = wanted[start : start + batch_size]
        batch = data.samples("train", [int(origin.index[u]) for u in ids])
        where = model.explain(batch.x, shown=torch.tensor(ids)[:, None]).where
        pictures = data.to_image(batch.x)
        same = (content_hash(batch.x) == origin.content[ids]).tolist()
        for n, unit in enumerate(ids):
            if not same[n]:
                continue
            spot = None if where is None else box(where[n, 0], data.size)
            name = data.name_of("train", int(origin.index[unit]))
            found[unit] = Source(pictures[n], spot, f"training picture {name}, {data.class_names[int(batch.y[n])]}")
    return found


def unit_names(model: SelfExplaining, data: Data, origins: Mapping[int, Source]) -> list[str]:
    """One line for each unit: what it argues for, which training sample it came from, after which words it fires."""
    units, lines, told = model.units, [], fires_after(model, data)
    for u, name in enumerate(units.names):
        owner = -1 if units.owner is None else int(units.owner[u])
        argues = f", for {data.class_names[owner]}" if owner >= 0 else ""
        lines.append(
            f"{name}{argues}"
            + (f", from {origins[u].caption}" if u in origins and origins[u].caption else "")
            + (f", {told[u]}" if u in told else "")
        )
    return lines


@torch.no_grad()
def notes(model: SelfExplaining, data: Data, truth: Tensor | None, *told: Explanation) -> list[dict[int, str]]:
    """A few words on the shown units of each input, by unit id: the truth on concepts, the weights of table patterns.

    Args:
        model: in eval mode.
        data: what the inputs are from.
        truth: ``(b, m)`` their true concepts, NaN where unknown; None if there are none.
        told: explanations of the b inputs.
    """
    ids = sorted({int(u) for e in told for u in e.shown.flatten() if u >= 0})
    words = {u: str(card) for u, card in fires_after(model, data, ids).items()}
    common = _weights_in_words(model, data, ids) | words
    found, schema = [dict(common) for _ in range(len(told[0]))], data.concepts
    true = None if truth is None or schema is None else model.encode_concepts(truth)
    if true is None or schema is None or truth is None:
        return found
    said = schema.decided(model.decode_concepts(told[0].strength))
    for i, row in enumerate(found):
        for u in ids:
            value, number = float(truth[i, u]), schema.concepts[u].kind == "continuous"
            right = "✓" if float(said[i, u]) == value else "✗"
            known = f"truly {value:.3g}" if number else f"{right} truly {'yes' if value == 1 else 'no'}"
            row[u] = known if value == value else "truth unknown"
    return found


@torch.no_grad()
def fires_after(
    model: SelfExplaining, data: Data, units: list[int] | None = None, *, texts: int = 100
) -> dict[int, Card]:
    """After which words units of a language model fire, on validation texts; empty for other models.

    A unit fires where its activity is above what the model's ``firing`` says.

    Args:
        model: in eval mode.
        data: where the texts are from.
        units: ids; None for all.
        texts: how many to read, at most.
    """
    if (
        model.input_kind != "tokens"
        or not hasattr(model, "activity")
        or not hasattr(data, "windows")
        or not data.is_available
    ):
        return {}
    ids = torch.arange(len(model.units)) if units is None else torch.tensor(units, dtype=torch.int64)
    x = data.windows("val")[:texts, :-1]
    if not len(ids) or not len(x):
        return {}
    asked = None if units is None else ids
    chunks = x.split(8)
    read = lambda some: model.activity(some, asked).masked_fill((some < 0)[..., None], -torch.inf)  # noqa: E731
    top = torch.stack([read(some).amax((0, 1)) for some in chunks]).amax(0)
    least = model.firing(top)
    found = []
    for i, some in enumerate(chunks):
        places = (read(some) > least).nonzero()
        places[:, 0] += 8 * i
        found.append(places)
    told = cards(data.token_texts(x), torch.cat(found), len(ids))
    return {int(ids[u]): card for u, card in told.items()}


def _weights_in_words(model: SelfExplaining, data: Data, units: list[int], *, most: int = 4) -> dict[int, str]:
    """Portraits of units over a table, as its weightiest features: ``+0.61 alcohol  −0.40 ash``."""
    shapes = model.unit_templates(torch.tensor(units)) if units and data.feature_names else None
    if shapes is None:
        return {}
    top = shapes.abs().topk(min(most, shapes.shape[1]), dim=1).indices
    rows = zip(units, top.tolist(), shapes.gather(1, top).tolist(), strict=True)
    return {
        u: ", ".join(f"{w:+.2f} {data.feature_names[i]}".replace("-", "−", 1) for i, w in zip(at, by, strict=True))
        for u, at, by in rows
    }
