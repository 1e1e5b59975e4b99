"""Copies of a model with randomized parameters."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from zlib import crc32

import torch
from torch import nn

from zoo.metrics.base import count


def duplicate(model: nn.Module) -> nn.Module:
    """Return a copy in eval mode that shares no tensor with the model; a trainer is not copied along."""
    trainer = vars(model).get("_trainer")
    twin = copy.deepcopy(model, {id(trainer): trainer} if trainer is not None else {})
    return twin.eval()


def layers(model: nn.Module) -> list[tuple[str, list[nn.Parameter]]]:
    """Modules with parameters to randomize, the last registered first: their own parameters whose entries differ.

    A shared parameter goes with its last owner. A layer of equal entries (a new normalization) would be a step without
    a change, and the likeness there that of the model as it is.
    """
    varying, taken = [], set()
    for name, module in reversed(list(model.named_modules())):
        own = [p for p in module.parameters(recurse=False) if p.is_floating_point() and id(p) not in taken]
        taken.update(map(id, own))
        if own := [p for p in own if p.numel() and bool((p != p.flatten()[0]).any())]:
            varying.append((name, own))
    return varying


def randomized(model: nn.Module, *, stages: int = 5, seed: int = 0) -> Iterator[nn.Module]:
    """One copy of a model whose layers are randomized, cascading from the output to the input, in ``stages`` steps.

    A parameter is redrawn from the normal distribution of its own mean and variance, which keeps the scale of
    activations. Parameters of equal entries and buffers stay. The draw depends on the layer's name and ``seed``.

    Args:
        model: not changed.
        stages: steps; fewer layers than that make one step each.
        seed: of the draws.

    Yields:
        The same copy after each step; after the last no layer is as it was. Never the model itself.

    Raises:
        ValueError: if the model has no parameter whose entries differ.
    """
    twin = duplicate(model)
    varying = layers(twin)
    if not varying:
        raise ValueError(f"{type(model).__name__} has no parameters that vary; there is nothing to randomize")
    stages = min(count("stages", stages), len(varying))
    cuts = [len(varying) * stage // stages for stage in range(stages + 1)]
    for first, last in zip(cuts, cuts[1:], strict=False):
        for name, parameters in varying[first:last]:
            source = torch.Generator().manual_seed(crc32(f"{seed} {name}".encode()))
            for p in parameters:
                drawn = torch.randn(p.shape, generator=source, dtype=torch.float64)
                wide = p.detach().double()
                drawn = wide.mean() + wide.std(correction=0) * drawn.to(p.device)
                with torch.no_grad():
                    p.copy_(drawn)
        yield twin
