"""How experts and their neurons are used: dead neurons and load."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.layers.moe.experts import Experts
from zoo.layers.moe.routing import choose
from zoo.layers.transformer.neuron_units import PlaceRecorder


class ExpertUse:
    """Counts how experts and their neurons are used.

    Args:
        layers: the experts of each of the l layers, e experts of m neurons.

    Attributes:
        active: ``(l, e, m)`` bool, whether a neuron was ever positive.
        load: ``(l, e)`` how often an expert was selected.
    """

    def __init__(self, layers: list[Experts]) -> None:
        self.layers = layers
        inner = layers[0].inner
        e, _, m = inner.shape
        self.active = torch.zeros(len(layers), e, m, dtype=torch.bool, device=inner.device)
        self.load = torch.zeros(len(layers), e, dtype=torch.float64, device=inner.device)

    def count(self, recorder: PlaceRecorder, real: Tensor) -> None:
        """Add a pass, recorded at ``route`` and ``hidden``, at positions ``real`` ``(b, t)``."""
        for i, layer in enumerate(self.layers):
            positive = (recorder.values["hidden"][i][real] > 0).any(0)
            self.active[i] |= positive.view_as(self.active[i])
            ids = choose(recorder.values["route"][i][real], layer.k)[0]
            self.load[i] += torch.bincount(ids.flatten(), minlength=self.load.shape[1])
