"""Mean strengths of units over the training split, from which pages measure contributions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zoo.capabilities import HasAffineHead, capability
from zoo.data.base import Data
from zoo.explanation import Contrast, Explanation
from zoo.model import SelfExplaining

KEY = "mean_strengths"  # in metrics.json
MAX_UNITS = 4000
MAX_SAMPLES = 512  # training samples that are read for a model that does not know its means
BATCH = 64


@torch.no_grad()
def mean_strengths(
    model: SelfExplaining, x: Tensor, data: Data, metrics: Mapping[str, Any] | None = None, *, read: bool = True
) -> Tensor | None:
    """Return the mean strength ``(u,)`` of each unit of a model with an affine head; None if it is not known.

    It is what the head itself knows, or what the checkpoint holds, or the mean of up to 512 training samples, evenly
    spaced.

    Args:
        model: in eval mode.
        x: ``(b, ...)`` any inputs, one or more.
        data: what it was trained on.
        metrics: of the checkpoint; None for none.
        read: whether training samples may be read.
    """
    affine, count = capability(model, HasAffineHead), len(model.units)
    if affine is None or not 0 < count <= MAX_UNITS or not len(x):
        return None
    known = affine.affine_head(x[:1]).mean
    if known is not None:
        return known.cpu()
    stored = (metrics or {}).get(KEY)
    if isinstance(stored, list) and len(stored) == count:
        return torch.tensor(stored)
    if not read or not data.is_available or not len(data.splits["train"]):
        return None
    size = len(data.splits["train"])
    chosen = torch.linspace(0, size - 1, min(MAX_SAMPLES, size)).round().long().unique()
    total = torch.zeros(count, dtype=torch.float64)
    for ids in chosen.split(BATCH):
        total += model.explain(data.samples("train", ids.tolist()).x, shown=0).strength.double().sum(0).cpu()
    return (total / len(chosen)).float()


@torch.no_grad()
def from_mean(
    model: SelfExplaining, x: Tensor, explanations: tuple[Explanation, ...], contrast: Contrast | None, mean: Tensor
) -> tuple[tuple[Explanation, ...], Contrast | None]:
    """Return explanations and contrast of inputs ``(b, ...)`` measured from mean strengths ``(u,)``.

    Units that are shown are those with the largest contributions from there, as many as before.
    """
    affine = capability(model, HasAffineHead)
    if affine is None or any(e.method != "exact" for e in explanations):
        return explanations, contrast
    head = affine.affine_head(x)
    told = tuple(_shown_again(model, x, head.explained_from_mean(e, mean)) for e in explanations)
    if contrast is None:
        return told, None
    first, second = (head.explained_from_mean(e, mean) for e in (contrast.first, contrast.second))
    return told, Contrast.of(first, second, contrast.shown.shape[1])


def _shown_again(model: SelfExplaining, x: Tensor, explanation: Explanation) -> Explanation:
    """The same explanation with its own largest units, and the evidence of these."""
    count = explanation.shown.shape[1]
    shown = explanation.contribution.abs().topk(count, dim=1).indices
    where = None
    if explanation.where is not None:
        where = model.explain(x, target=explanation.target, shown=shown).where
    return replace(explanation, shown=shown, where=where)
