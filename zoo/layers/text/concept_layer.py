"""A linear concept layer on the vectors of texts, fitted exactly on the known concepts."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from zoo.layers.concepts import ConceptSpace
from zoo.layers.sparse_linear import fit_sparse_linear

RIDGES = (1e-3, 1e-4, 1e-5)  # strengths, in units of the mean loss; the best on the validation texts
TOLERANCE = 1e-5  # of the optimality conditions


def fit_concept_layer(
    space: ConceptSpace, train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor]
) -> tuple[Tensor, dict[str, float]]:
    """Return weights and bias ``(m, d + 1)`` of the concept logits, with a ridge chosen on the validation texts.

    Args:
        space: of the m concepts, on the CPU; unknown ones are left out of its loss.
        train: vectors ``(n, d)`` and concepts ``(n, m)``, NaN where unknown.
        val: of the validation texts.

    Example:
        >>> from zoo.concept_schema import Concept, ConceptSchema
        >>> space = ConceptSpace(ConceptSchema((Concept("good"), Concept("long"))))
        >>> z = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> truth = torch.tensor([[1.0, torch.nan], [0.0, torch.nan]])
        >>> weight, _ = fit_concept_layer(space, (z, truth), (z, truth))
        >>> bool(weight[0, 0] > 1), weight[1].tolist()
        (True, [0.0, 0.0, 0.0])
    """
    read, val_read = (torch.cat([z, torch.ones_like(z[:, :1])], 1).double() for z in (train[0], val[0]))
    start = torch.zeros(train[1].shape[1], read.shape[1], dtype=torch.float64)
    penalized = torch.ones_like(start, dtype=torch.bool)
    loss = partial(space.loss, truth=train[1])
    no_classes = torch.zeros(len(read), dtype=torch.int64)
    fits = []
    weight = start
    for l2 in RIDGES:  # the strongest first, each from the one before
        options = {"bias": True, "loss": loss, "first": weight, "tolerance": TOLERANCE}
        weight, residual = fit_sparse_linear(read, no_classes, start, penalized, l1=0.0, l2=l2, **options)
        fits.append((float(space.loss(val_read @ weight.T, val[1])), weight, residual))
    concept_loss, weight, residual = min(fits, key=lambda fit: fit[0])
    return weight, {"validation concept loss": concept_loss, "kkt residual": residual}
