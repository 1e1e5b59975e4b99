"""Scores of whole points: what rounding in the last digits of a sum must not decide."""

from __future__ import annotations

from torch import Tensor

from zoo.what_if.feature_tables import NEAR_WHOLE


def in_whole_points(score: Tensor, multiplier: Tensor) -> Tensor:
    """Return scores ``(...)`` whose points are whole numbers computed from these alone, the others unchanged.

    A sum of the numbers that the bins add differs from the sum of their points over the multiplier in its last digits,
    and in other digits where it is added up in another order. With the points as a whole number the score is the same
    in every order and on every machine, and even odds are exactly 0. The derivative is 1.

    Args:
        score: log odds.
        multiplier: ``()`` points of a change of the score by 1.

    Example:
        >>> import torch
        >>> score = torch.tensor([0.1 + 0.2 - 0.3, 0.25], dtype=torch.float64)
        >>> in_whole_points(score, torch.tensor(10.0, dtype=torch.float64)).tolist()
        [0.0, 0.25]
    """
    points = score * multiplier
    whole = points.detach().round()
    near = (points.detach() - whole).abs() < NEAR_WHOLE
    correction = (whole / multiplier - score.detach()).masked_fill(~near, 0.0)
    return score + correction
