"""Quality of predicted probabilities: AUROC, F1, Brier score, calibration error."""

from __future__ import annotations

import torch
from torch import Tensor


def probability_quality(share: Tensor, decided: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Return macro AUROC and F1, Brier score and calibration error (15 bins) over two-sided columns.

    Args:
        share: ``(n, m)`` probabilities.
        decided: ``(n, m)`` bool, decisions.
        target: ``(n, m)`` labels 0 and 1, -1 where unknown.

    Returns:
        ``auroc``, ``f1``, ``brier`` and ``ece`` of the columns that have both labels, and ``one-sided``, the number of
        the others; nothing but that if there are no two-sided columns.

    Example:
        >>> share = torch.tensor([[0.1], [0.4], [0.3], [0.9]])
        >>> values = probability_quality(share, share > 0.5, torch.tensor([[0], [0], [1], [1]]))
        >>> {name: round(float(values[name]), 4) for name in ("auroc", "f1", "brier")}
        {'auroc': 0.75, 'f1': 0.6667, 'brier': 0.1675}
    """
    from scipy.stats import rankdata
    from torchmetrics.functional.classification import binary_calibration_error

    known, true = target >= 0, target == 1
    both = true.any(0) & (target == 0).any(0)
    values = {"one-sided": (~both).sum().double()}
    if not bool(both.any()):
        return values
    share, decided, known, true = (t[:, both] for t in (share, decided, known, true))
    rank = rankdata(torch.where(known, share, torch.nan).cpu().numpy(), axis=0, nan_policy="omit")
    ones, zeros = true.sum(0).cpu(), (known & ~true).sum(0).cpu()
    area = (torch.from_numpy(rank).where(true.cpu(), 0.0).sum(0) - ones * (ones + 1) / 2) / (ones * zeros)
    correct = (decided & true).sum(0).double()
    f1 = 2 * correct / ((decided & known).sum(0) + true.sum(0))
    p, t = share[known].clamp(0, 1), true[known]  # torchmetrics takes a number above 1 for a logit, were it by rounding
    values |= {"auroc": area.mean(), "f1": f1.mean()}
    return values | {"brier": (p - t.double()).square().mean(), "ece": binary_calibration_error(p, t, n_bins=15)}
