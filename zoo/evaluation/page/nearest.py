"""The nearest training cases of explained inputs, with what a page shows of them."""

from __future__ import annotations

from torch import Tensor

from zoo.data.base import Data
from zoo.model import SelfExplaining
from zoo.reporting.interactive.case import Case

WORDS = 160  # characters of the text or the values of a case


def nearest_cases(model: SelfExplaining, data: Data, x: Tensor, *, k: int) -> list[list[Case]]:
    """Return the k nearest training cases of each of the inputs ``(b, ...)``, nearest first.

    Args:
        model: in eval mode.
        data: what it was trained on.
        x: the inputs.
        k: number of cases.

    Raises:
        ValueError: if the training data are not there.
    """
    if not data.is_available:
        raise ValueError("the training data are not there, and neighbors are looked for among them; name the data")
    found = model.neighbors(x, data.loader("train"), k=k)
    rows = []
    for ids, distances in zip(found.index.tolist(), found.distance.tolist(), strict=True):
        kept = [(i, d) for i, d in zip(ids, distances, strict=True) if i >= 0]
        if not kept:
            rows.append([])
            continue
        batch = data.samples("train", [i for i, _ in kept])
        truth = model.task.texts(batch.y, data.output_names) if batch.y is not None else [""] * len(kept)
        pictures, tokens, values = data.to_image(batch.x), data.token_texts(batch.x), data.feature_values(batch.x)
        cases = []
        for n, (i, distance) in enumerate(kept):
            words = "".join(tokens[n]) if tokens else ", ".join(f"{k} {v}" for k, v in values[n]) if values else ""
            short = words if len(words) <= WORDS else f"{words[: WORDS - 1]}…"
            picture = None if pictures is None else pictures[n]
            cases.append(Case(data.name_of("train", i), distance, truth[n], short, picture))
        rows.append(cases)
    return rows
