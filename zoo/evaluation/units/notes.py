"""A few words on units: the truth on concepts, the weights of templates of rows, the text before active neurons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from zoo.capabilities import HasActivity, HasConcepts, HasUnitTemplates, HasUnitValues, HasWindows, capability
from zoo.checkpoint import read_units
from zoo.data.base import Data, SplitName
from zoo.evaluation.units.token_triggers import Trigger, token_triggers
from zoo.explanation import Explanation
from zoo.model import SelfExplaining

CONTEXTS = 8  # contexts read at a time


@torch.no_grad()
def unit_notes(
    model: SelfExplaining,
    data: Data,
    concepts: Tensor | None,
    explanations: Sequence[Explanation],
    *,
    x: Tensor | None = None,
    stored: Path | None = None,
) -> list[dict[int, str]]:
    """Return a few words on the shown units of each input, by unit id.

    Args:
        model: in eval mode.
        data: what the inputs are from.
        concepts: ``(b, m)`` their true concepts, NaN where unknown; None if there are none.
        explanations: of the b inputs, one or more.
        x: ``(b, ...)`` the inputs, for units that read a value which has a name.
        stored: folder of the checkpoint whose words on the units of a language model are shown, so that no data are
            read; None to read validation texts.
    """
    ids = sorted({int(u) for e in explanations for u in e.shown.flatten() if u >= 0})
    common = _weights_in_words(model, data, ids)
    if stored is None:
        common |= {u: str(trigger) for u, trigger in token_triggers_of(model, data, ids).items()}
    elif capability(model, HasActivity) is not None:
        common |= _stored_words(model, stored, ids)
    rows = [dict(common) for _ in range(len(explanations[0]))]
    if x is not None and (reader := capability(model, HasUnitValues)) is not None:
        for row, values in zip(rows, reader.unit_values(x), strict=True):
            row.update({u: values[u] for u in ids})
    if concepts is None:
        return rows
    concept_model, schema = capability(model, HasConcepts), data.concepts
    if concept_model is None or schema is None:
        return rows
    predicted = schema.decided(concept_model.decode_concepts(explanations[0].strength))
    for i, row in enumerate(rows):
        for u in ids:
            truth = float(concepts[i, u])
            if truth != truth:
                row[u] = "truth unknown"
            elif schema.concepts[u].kind == "continuous":
                row[u] = f"truth {truth:.3g}"
            else:
                row[u] = f"{'✓' if float(predicted[i, u]) == truth else '✗'} truth: {'yes' if truth == 1 else 'no'}"
    return rows


def _stored_words(model: SelfExplaining, folder: Path, units: Sequence[int]) -> dict[int, str]:
    """Return what the checkpoint says of units after their names."""
    lines = read_units(folder)
    if len(lines) != len(model.units):
        return {}
    words = {u: lines[u].removeprefix(model.units.names[u]).removeprefix(", ") for u in units}
    return {u: text for u, text in words.items() if text}


def token_windows(data: Data, split: SplitName) -> Tensor | None:
    """Return windows ``(n, t + 1)`` of token ids of a split; None where inputs are no contexts or cannot be read."""
    windowed = capability(data, HasWindows)
    return None if windowed is None or not data.is_available else windowed.windows(split)


@torch.no_grad()
def token_triggers_of(
    model: SelfExplaining, data: Data, units: Sequence[int] | None = None, *, texts: int = 100
) -> dict[int, Trigger]:
    """Return the text after which units of a language model are active, on validation texts; empty for other models.

    A unit is active where its activation is above ``model.firing``.

    Args:
        model: in eval mode.
        data: where the texts are from.
        units: ids; None for all.
        texts: number of texts to read.
    """
    language_model = capability(model, HasActivity)
    windows = None if language_model is None else token_windows(data, "val")
    if language_model is None or windows is None:
        return {}
    ids = torch.arange(len(model.units)) if units is None else torch.tensor(units, dtype=torch.int64)
    x = windows[:texts, :-1]
    if not len(ids) or not len(x):
        return {}

    def activity(contexts: Tensor) -> Tensor:
        found = language_model.activity(contexts, None if units is None else ids)
        return found.masked_fill((contexts < 0)[..., None], -torch.inf)

    chunks = x.split(CONTEXTS)
    threshold = language_model.firing(torch.stack([activity(chunk).amax((0, 1)) for chunk in chunks]).amax(0))
    places = []
    for i, chunk in enumerate(chunks):
        active = (activity(chunk) > threshold).nonzero()
        active[:, 0] += CONTEXTS * i
        places.append(active)
    triggers = token_triggers(data.token_texts(x) or [], torch.cat(places), len(ids))
    return {int(ids[u]): trigger for u, trigger in triggers.items()}


def _weights_in_words(model: SelfExplaining, data: Data, units: list[int], *, count: int = 4) -> dict[int, str]:
    """Return templates of units over a row as their largest weights: ``+0.61 alcohol, −0.40 ash``."""
    with_templates = capability(model, HasUnitTemplates)
    if with_templates is None or not units or not data.feature_names:
        return {}
    templates = with_templates.unit_templates(torch.tensor(units))
    top = templates.abs().topk(min(count, templates.shape[1]), dim=1).indices
    rows = zip(units, top.tolist(), templates.gather(1, top).tolist(), strict=True)
    return {
        u: ", ".join(f"{w:+.2f} {data.feature_names[i]}".replace("-", "−", 1) for i, w in zip(at, by, strict=True))
        for u, at, by in rows
    }
