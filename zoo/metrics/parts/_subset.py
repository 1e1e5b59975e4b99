"""Rows of a chosen part of a batch, spread over the whole batch."""

from __future__ import annotations

from torch import Tensor


def spread(rows: Tensor, chosen: Tensor | None) -> Tensor:
    """Return rows of chosen samples as rows of all samples of the batch, 0 for the others.

    A sum over samples stays as it is; the rows line up with the sample ids of the batch, as a bootstrap needs them.

    Args:
        rows: ``(n, ...)`` of the n chosen samples.
        chosen: ``(b,)`` bool; None if the rows are those of all samples.

    Example:
        >>> import torch
        >>> spread(torch.tensor([5, 7]), torch.tensor([True, False, True]))
        tensor([5, 0, 7])
    """
    if chosen is None:
        return rows
    chosen = chosen.to(rows.device)
    out = rows.new_zeros(len(chosen), *rows.shape[1:])
    out[chosen] = rows
    return out
