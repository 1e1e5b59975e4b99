"""Search of the k codes with the largest inner products, for many vectors and several lists of codes at once.

Letters: n vectors, g groups, c codes of each group, e width.
"""

from __future__ import annotations

import torch
from torch import Tensor

BUDGET_CPU = 1 << 20  # scores in memory at a time: few enough to stay in the cache of a CPU
BUDGET = 1 << 26  # scores in memory at a time on other devices: 256 MB in float32
MIN_ROWS = 256  # vectors at a time
PILE = 10  # largest number of codes in a pile


@torch.no_grad()
def search(vectors: Tensor, codes: Tensor, k: int) -> Tensor:
    """Return the ids ``(n, g, k)`` of the best of ``codes`` ``(g, c, e)`` for ``vectors`` ``(n, g, e)``, best first.

    Scores are in the precision of the inputs, never lowered by autocast, and a bounded number of them is in memory at a
    time. The result for a vector does not depend on the other vectors.

    Example:
        >>> search(torch.tensor([[[1.0, 0.2]]]), torch.eye(2)[None], k=2).tolist()
        [[[0, 1]]]
    """
    device = vectors.device.type
    budget = BUDGET_CPU if device == "cpu" else BUDGET
    rows = max(MIN_ROWS, budget // (codes.shape[0] * codes.shape[1]))
    top = _top_by_piles if device == "cpu" else _top
    ids: list[Tensor] = []
    with torch.autocast(device, enabled=False):
        for part in [vectors] if torch.compiler.is_exporting() else vectors.split(rows):
            ids.append(top(torch.bmm(part.transpose(0, 1), codes.mT), k).transpose(0, 1))
    return torch.cat(ids)


def _top(score: Tensor, k: int) -> Tensor:
    """Indices ``(..., k)`` of the largest of ``(..., c)``, in order."""
    return score.argmax(-1, keepdim=True) if k == 1 else score.topk(k, dim=-1).indices


def _top_by_piles(score: Tensor, k: int) -> Tensor:
    """Compute the same as ``_top`` from maxima of piles, which on a CPU are about ten times as fast as an argmax.

    The k largest of all lie in the k piles with the largest maxima. With few codes, or a number of codes that does not
    divide into piles, this would gain nothing.
    """
    c = score.shape[-1]
    size = next((p for p in range(PILE, 3, -1) if c % p == 0), 1)  # codes of a pile
    if size == 1 or c < max(256, 64 * k):
        return _top(score, k)
    piles = c // size
    best = _top(score.unflatten(-1, (size, piles)).amax(-2), k)
    ids = (best[..., None, :] + piles * torch.arange(size)[:, None]).flatten(-2)
    return ids.gather(-1, _top(score.gather(-1, ids), k))
