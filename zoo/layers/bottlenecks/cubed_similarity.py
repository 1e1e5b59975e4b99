"""Projection of features onto concepts that are given by scores alone, not by labels.

Oikarinen et al., Label-free Concept Bottleneck Models, ICLR 2023.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CHECK_EVERY = 50  # steps


def cubed_similarity(projected: Tensor, scores: Tensor) -> Tensor:
    """Return the similarity ``(k,)`` of columns ``(n, k)``: the cosine of the cubes of their standardized values.

    Cubes give weight to the samples in which a concept is most present.

    Example:
        >>> column = torch.tensor([[1.0], [2.0], [4.0]])
        >>> round(float(cubed_similarity(column, 3 * column + 1)), 6)
        1.0
    """
    cubes = []
    for values in (projected, scores):
        centered = values - values.mean(0)
        cubes.append((centered / centered.std(0, correction=0).clamp_min(1e-8)) ** 3)
    return F.cosine_similarity(cubes[0], cubes[1], dim=0)


def fit_projection(
    features: Tensor, scores: Tensor, held_out: Tensor, *, steps: int, lr: float, seed: int
) -> tuple[Tensor, Tensor]:
    """Return the projection ``(k, d)`` that makes projected features similar to scores, and held-out similarities.

    Adam on all fitted samples; every 50 steps the mean similarity of the held-out ones is measured, and the search
    stops the first time that it falls.

    Args:
        features: ``(n, d)``.
        scores: ``(n, k)``.
        held_out: ``(n,)`` bool, samples that are not fitted.
        steps: largest number of steps.
        lr: learning rate.
        seed: of the initial projection.

    Returns:
        ``(k, d)`` and ``(k,)``.
    """
    mean, std = features[~held_out].mean(0), features[~held_out].std(0, correction=0).clamp_min(1e-8)
    standard = (features - mean) / std
    generator = torch.Generator().manual_seed(seed)
    d = features.shape[1]
    weight = (torch.randn(scores.shape[1], d, generator=generator) / d**0.5).to(features)
    best, best_similarity = weight, torch.full_like(scores[0], -1.0)
    with torch.enable_grad():
        weight = weight.requires_grad_(True)
        optimizer = torch.optim.Adam([weight], lr=lr)
        for step in range(steps + 1):
            if step % CHECK_EVERY == 0:
                with torch.no_grad():
                    similarity = cubed_similarity(standard[held_out] @ weight.T, scores[held_out])
                if similarity.mean() <= best_similarity.mean():
                    break
                best, best_similarity = weight.detach().clone(), similarity
            loss = -cubed_similarity(standard[~held_out] @ weight.T, scores[~held_out]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return best / std, best_similarity
