"""The k codes with the largest inner products, for many vectors and several lists of codes at once.

Letters: n vectors, g groups, c codes of each group, e width.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Scores held at a time, and vectors at least: on a CPU so few that they stay in its cache, elsewhere 256 MB of them.
BUDGET, PLENTY, LEAST = {"cpu": 1 << 20}, 1 << 26, 256
PILES = 10  # about


@torch.no_grad()
def search(wanted: Tensor, unit: Tensor, k: int) -> Tensor:
    """The ``(n, g, k)`` best of codes ``unit`` ``(g, c, e)`` for vectors ``wanted`` ``(n, g, e)``, best first.

    Scores are in the precision of the inputs, never lowered by autocast, and no more than ``BUDGET`` are held at once.
    What is found for a vector does not depend on the others.
    """
    kind, found = wanted.device.type, []
    rows = max(LEAST, BUDGET.get(kind, PLENTY) // (unit.shape[0] * unit.shape[1]))
    pick = _by_piles if kind == "cpu" else _plainly
    with torch.autocast(kind, enabled=False):
        for some in wanted.split(rows):
            found.append(pick(torch.bmm(some.transpose(0, 1), unit.mT), k).transpose(0, 1))
    return torch.cat(found)


def _plainly(score: Tensor, k: int) -> Tensor:
    """Places ``(..., k)`` of the largest of ``(..., c)``, in order."""
    return score.argmax(-1, keepdim=True) if k == 1 else score.topk(k, dim=-1).indices


def _by_piles(score: Tensor, k: int) -> Tensor:
    """The same by way of the largest of piles, which a CPU finds some ten times as fast as the place of the largest.

    The k largest of all lie in the k piles with the largest tops. Where there are few codes, or no even piles, this
    would gain nothing.
    """
    c = score.shape[-1]
    count = next((p for p in range(PILES, 3, -1) if c % p == 0), 1)  # codes of a pile
    if count == 1 or c < max(256, 64 * k):
        return _plainly(score, k)
    piles = c // count
    best = _plainly(score.unflatten(-1, (count, piles)).amax(-2), k)
    ids = (best[..., None, :] + piles * torch.arange(count)[:, None]).flatten(-2)
    return ids.gather(-1, _plainly(score.gather(-1, ids), k))
