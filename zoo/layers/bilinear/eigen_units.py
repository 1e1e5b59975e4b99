"""Eigenvectors of the classes' quadratic forms as units, computed from weights and cached until the weights change."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from zoo.layers.bilinear.bilinear import Bilinear, Spectrum, forms, spectrum


class EigenUnits(NamedTuple):
    """Units of c classes, u in all.

    Attributes:
        weights: a copy of the weights that the units were computed from, flattened.
        spectrum: of all classes, in float64.
        values: ``(u,)`` eigenvalues, in the dtype of the weights, as are the next two.
        vectors: ``(u, d)`` eigenvectors.
        patterns: ``(u, e)`` eigenvectors in the coordinates of the input of ``embed``.
    """

    weights: Tensor
    spectrum: Spectrum
    values: Tensor
    vectors: Tensor
    patterns: Tensor

    def is_current(self, weights: Tensor) -> bool:
        """Return whether the units were computed from these weights."""
        old = self.weights
        return (old.dtype, old.device) == (weights.dtype, weights.device) and torch.equal(old, weights)


def eigen_units(
    embed: nn.Linear, layer: Bilinear, head: nn.Linear, *, per_class: int, cached: EigenUnits | None = None
) -> EigenUnits:
    """Return the first ``per_class`` eigenvectors of each class of ``head(layer(x))`` as units.

    Args:
        embed: before the first layer.
        layer: the last bilinear layer.
        head: from its outputs to logits.
        per_class: units of each class, largest absolute eigenvalue first.
        cached: returned if it is current.

    Example:
        >>> eigen_units(nn.Linear(4, 3, bias=False), Bilinear(3, 5), nn.Linear(5, 2), per_class=2).patterns.shape
        torch.Size([4, 4])
    """
    if cached is not None and torch.compiler.is_exporting():  # an exported graph holds the units as constants
        return cached
    parameters = [embed.weight, *layer.parameters(), *head.parameters()]
    weights = torch.cat([p.detach().flatten() for p in parameters])
    if cached is not None and cached.is_current(weights):
        return cached
    with torch.inference_mode(False), torch.no_grad():
        whole = spectrum(forms(layer, head.weight, shift=head.bias))
        values, vectors = (t[:, :per_class].flatten(0, 1) for t in whole)
        patterns = vectors[:, : embed.out_features] @ embed.weight.double()
        return EigenUnits(weights, whole, *(t.to(weights.dtype) for t in (values, vectors, patterns)))
