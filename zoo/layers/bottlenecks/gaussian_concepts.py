"""A Gaussian distribution of concept logits, and what is known of the others once some of them are set.

Vandenhirtz et al., Stochastic Concept Bottleneck Models, NeurIPS 2024.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Covariance = Literal["amortized", "global"]
SMALLEST = 1e-3  # entry of the diagonal of a Cholesky factor
SOLVED = 2**23  # entries of covariance matrices that are factorized at a time


class CholeskyFactor(nn.Module):
    """The lower triangular factor L of the covariance L @ L.T of u concept logits.

    Args:
        inputs: width d of the features.
        concepts: u.
        covariance: ``global``, one for all inputs, or ``amortized``, computed from the features of each.

    Example:
        >>> CholeskyFactor(4, 3, "amortized")(torch.zeros(2, 4)).shape
        torch.Size([2, 3, 3])
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, inputs: int, concepts: int, covariance: Covariance) -> None:
        super().__init__()
        entries = concepts * (concepts + 1) // 2
        self.concepts = concepts
        self.entries = nn.Parameter(torch.zeros(entries))
        self.from_features = nn.Linear(inputs, entries, bias=False) if covariance == "amortized" else None
        if self.from_features is not None:
            with torch.no_grad():
                self.from_features.weight.mul_(0.01)
        rows, columns = torch.tril_indices(concepts, concepts)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return the factors ``(b, u, u)`` of features ``(b, d)``."""
        entries = self.entries.expand(features.shape[0], -1)
        if self.from_features is not None:
            entries = entries + self.from_features(features)
        positive = F.softplus(entries) + SMALLEST
        factor = entries.new_zeros(features.shape[0], self.concepts, self.concepts)
        factor[:, self.rows, self.columns] = torch.where(self.rows == self.columns, positive, entries)
        return factor


def conditional_mean(mean: Tensor, covariance: Tensor, mask: Tensor, value: Tensor) -> Tensor:
    """Return the mean of a Gaussian once some of its coordinates are known.

    For the unknown ones R and the known ones S it is mean_R + cov_RS @ inverse(cov_SS) @ (value_S - mean_S).

    Args:
        mean: ``(b, u)``.
        covariance: ``(b, u, u)``.
        mask: ``(..., b, u)`` bool, the known coordinates.
        value: ``(..., b, u)`` their values; not read elsewhere.

    Returns:
        ``(..., b, u)``, with the values where they are known.

    Example:
        >>> covariance = torch.tensor([[[1.0, 0.5], [0.5, 1.0]]])
        >>> mask, value = torch.tensor([[True, False]]), torch.tensor([[2.0, 0.0]])
        >>> conditional_mean(torch.zeros(1, 2), covariance, mask, value).tolist()
        [[2.0, 1.0]]
    """
    u = mean.shape[-1]
    difference = torch.where(mask, value - mean, 0.0)
    flat_mask, flat_difference = mask.reshape(-1, *mean.shape), difference.reshape(-1, *mean.shape)
    moved = torch.empty_like(flat_difference)
    step = max(1, SOLVED // max(1, len(mean) * u * u))
    for first in range(0, len(flat_mask), step):
        known = flat_mask[first : first + step].to(covariance)
        system = known[..., None] * covariance * known[..., None, :] + torch.diag_embed(1 - known)
        solution = torch.cholesky_solve(flat_difference[first : first + step, ..., None], torch.linalg.cholesky(system))
        moved[first : first + step] = (covariance @ solution)[..., 0]
    return torch.where(mask, value, mean + moved.reshape(difference.shape))


def damping(covariance: Tensor) -> Tensor:
    """Return the factor ``(b, u)`` by which the variance of a logit damps its mean.

    The probability of a Gaussian logit is nearly sigmoid(mean / sqrt(1 + pi / 8 * variance)) (MacKay 1992).

    Example:
        >>> damping(torch.zeros(1, 1, 1)).item()
        1.0
    """
    return (1 + math.pi / 8 * covariance.diagonal(dim1=-2, dim2=-1)).rsqrt()


def posterior_mean(mean: Tensor, covariance: Tensor, probability: Tensor, value: Tensor) -> Tensor:
    """Return the expectation of each logit given the value of its own concept.

    Of a value between 0 and 1 it is the mixture of those given 0 and 1; of the predicted probability it is the mean.
    The sigmoid is replaced by the probit with the same slope, so that the expectations have a closed form.

    Args:
        mean: ``(b, u)``.
        covariance: ``(b, u, u)``.
        probability: ``(b, u)`` predicted.
        value: ``(..., b, u)``, 0 to 1.

    Returns:
        ``(..., b, u)``

    Example:
        >>> mean, covariance = torch.zeros(1, 1), torch.ones(1, 1, 1)
        >>> [round(float(posterior_mean(mean, covariance, mean + 0.5, mean + v)), 2) for v in (0.0, 0.5, 1.0)]
        [-0.42, 0.0, 0.42]
    """
    p = probability.clamp(1e-6, 1 - 1e-6)
    density = torch.exp(-torch.special.ndtri(p).square() / 2) / math.sqrt(2 * math.pi)
    variance = covariance.diagonal(dim1=-2, dim2=-1)
    between = variance * damping(covariance) * math.sqrt(math.pi / 8) * density / (p * (1 - p))
    return mean + (value - probability) * between
