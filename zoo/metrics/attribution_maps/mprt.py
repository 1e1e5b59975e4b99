"""Model-parameter randomization: does a map change when the parameters are randomized?"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

import torch
from torch import Tensor, nn

from zoo.metrics._correlation import spearman
from zoo.metrics.attribution_maps._base import checked, classes
from zoo.metrics.attribution_maps._evidence import attributor
from zoo.metrics.attribution_maps._map_score import MapScore
from zoo.metrics.base import Record, count
from zoo.registry import register


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
    found, taken = [], set()
    for name, module in reversed(list(model.named_modules())):
        own = [p for p in module.parameters(recurse=False) if p.is_floating_point() and id(p) not in taken]
        taken.update(map(id, own))
        if own := [p for p in own if p.numel() and bool((p != p.flatten()[0]).any())]:
            found.append((name, own))
    return found


def randomised(model: nn.Module, *, stages: int = 5, seed: int = 0) -> Iterator[nn.Module]:
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
    found = layers(twin)
    if not found:
        raise ValueError(f"{type(model).__name__} has no parameters that vary; there is nothing to randomise")
    stages = min(count("stages", stages), len(found))
    cuts = [len(found) * stage // stages for stage in range(stages + 1)]
    for first, last in zip(cuts, cuts[1:], strict=False):
        for name, parameters in found[first:last]:
            source = torch.Generator().manual_seed(crc32(f"{seed} {name}".encode()))
            for p in parameters:
                drawn = torch.randn(p.shape, generator=source, dtype=torch.float64)
                wide = p.detach().double()
                drawn = wide.mean() + wide.std(correction=0) * drawn.to(p.device)
                with torch.no_grad():
                    p.copy_(drawn)
        yield twin


def mprt(
    attribute: Callable[[Any, Tensor, Tensor], Tensor],
    model: nn.Module,
    x: Tensor,
    target: Tensor,
    *,
    stages: int = 5,
    seed: int = 0,
) -> Tensor:
    """Likeness of the map of a model and those of ``randomised`` copies of it (Adebayo et al., NeurIPS 2018).

    Args:
        attribute: model, x, target -> attribution ``(b, h, w)``; may use gradients.
        model: not changed.
        x: ``(b, ...)`` inputs; not changed.
        target: ``(b,)`` class explained.
        stages: steps of the cascade.
        seed: of the new parameters.

    Returns:
        ``(b, stages)`` float64 Spearman correlation after each step, the un-randomised model not among them; NaN where
        a map is constant, and for steps that a model of few layers does not have.

    Raises:
        ValueError: if a shape does not fit, a value is not finite, or the model has no parameters.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model is a {type(model).__name__}; only the parameters of a torch module can be randomised")
    target = classes(x, target)
    maps = _flat(attribute, duplicate(model), x, target)
    found = [spearman(maps, _flat(attribute, twin, x, target)) for twin in randomised(model, stages=stages, seed=seed)]
    found += [torch.full_like(found[0], torch.nan)] * (stages - len(found))
    return torch.stack(found, 1)


def _flat(attribute: Callable, model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    with torch.enable_grad():
        found = attribute(model, x.detach(), target)
    found = checked(found, x).flatten(1)
    return found if found.dtype == torch.float64 else found.float()


@register
class Mprt(MapScore):
    """Rank correlation of maps before and after layers are randomized, from the output on; low is good.

    ``mprt``, the headline, is the mean rank correlation over the steps of the cascade; ``last`` that of a model without
    any learned layer; ``likeness_curve`` one value for each step. A map that stays as it was does not explain the
    model.

    Args:
        stages: steps of the cascade.
        seed: of the new parameters.
        share: of the samples that a suite scores.

    Raises:
        ValueError: if an argument is out of range.
    """

    title = "MPRT"
    meaning = "rank correlation of the map with that of a model with randomized parameters"
    axes = {
        "likeness_curve": (
            "stages of layers randomized, from the output",
            "rank correlation with the trained model's map",
        )
    }
    protocol = "adebayo2018-spearman-v1"
    higher_is_better = False
    bounds = (-1, 1)
    values = ("mprt", "last")
    curves: tuple[str, ...] = ("likeness_curve",)
    value_total: Tensor
    value_count: Tensor
    curve_total: Tensor
    curve_count: Tensor

    def __init__(self, *, stages: int = 5, seed: int = 0, share: float = 1.0) -> None:
        super().__init__(share=share, points=count("stages", stages))
        self.stages, self.seed = stages, seed
        self.protocol = self._variant(type(self).protocol, stages=stages, seed=seed, share=share)

    def update(
        self, attribute: Callable[[Any, Tensor, Tensor], Tensor], model: nn.Module, x: Tensor, target: Tensor
    ) -> None:
        """Add inputs; arguments as for ``mprt``."""
        found = mprt(attribute, model, x, target, stages=self.stages, seed=self.seed)
        final = min(self.stages, len(layers(model))) - 1
        self._tell({"mprt": found.nanmean(1), "last": found[:, final], "likeness_curve": found})

    def _feed(self, record: Record) -> None:
        self.update(attributor(record), record.model, record.batch.x, record.explanation.target)
