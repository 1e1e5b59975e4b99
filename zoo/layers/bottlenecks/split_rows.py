"""What a model computes for the samples of a whole split, with their annotations and targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.model import SelfExplaining
from zoo.runtime.gathering import in_order


@torch.no_grad()
def split_rows(
    model: SelfExplaining, loader: Iterable[Batch], encode: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the rows of a split in its order, gathered over processes.

    Args:
        model: set to eval mode.
        loader: of the split.
        encode: rows ``(b, ...)`` of inputs ``(b, ...)``.

    Returns:
        The rows ``(n, ...)``, annotated concepts ``(n, m)`` (m = 0 without annotations), targets ``(n,)`` and weights
        ``(n,)``.
    """
    model.eval()
    device = next(model.parameters()).device
    moved = (batch.to(device) for batch in loader)
    rows = ((encode(b.x), _concepts(b), b.targets, b.weights, b.index) for b in moved)
    encoded, concepts, targets, weights = in_order(rows)
    return encoded, concepts, targets, weights


def _concepts(batch: Batch) -> Tensor:
    return batch.weights.new_zeros(len(batch), 0) if batch.concepts is None else batch.concepts
