"""Model-parameter randomization: does a map change when the parameters are randomized?

Source: Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from zoo.metrics._correlation import spearman
from zoo.metrics.attribution_maps._base import checked, classes
from zoo.metrics.attribution_maps._evidence import attributor
from zoo.metrics.attribution_maps._map_score import MapScore
from zoo.metrics.base import Record, count
from zoo.metrics.perturbations._parameters import duplicate, layers, randomized
from zoo.registry import register


def mprt(
    attribute: Callable[[Any, Tensor, Tensor], Tensor],
    model: nn.Module,
    x: Tensor,
    target: Tensor,
    *,
    stages: int = 5,
    seed: int = 0,
) -> Tensor:
    """Likeness of the map of a model and those of ``randomized`` copies of it (Adebayo et al., NeurIPS 2018).

    Args:
        attribute: model, x, target -> attribution ``(b, h, w)``; may use gradients.
        model: not changed.
        x: ``(b, ...)`` inputs; not changed.
        target: ``(b,)`` class explained.
        stages: steps of the cascade.
        seed: of the new parameters.

    Returns:
        ``(b, stages)`` float64 Spearman correlation after each step, the unchanged model not among them; NaN where
        a map is constant, and for steps that a model of few layers does not have.

    Raises:
        ValueError: if a shape does not fit, a value is not finite, or the model has no parameters.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model is a {type(model).__name__}; only the parameters of a torch module can be randomized")
    target = classes(x, target)
    maps = _flat(attribute, duplicate(model), x, target)
    likeness = [
        spearman(maps, _flat(attribute, twin, x, target)) for twin in randomized(model, stages=stages, seed=seed)
    ]
    likeness += [torch.full_like(likeness[0], torch.nan)] * (stages - len(likeness))
    return torch.stack(likeness, 1)


def _flat(attribute: Callable, model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    with torch.enable_grad():
        maps = attribute(model, x.detach(), target)
    maps = checked(maps, x).flatten(1)
    return maps if maps.dtype == torch.float64 else maps.float()


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

    Example:
        A map that ignores the model is the same for any parameters.

        >>> score = Mprt(stages=1)
        >>> x = torch.tensor([[[[1.0, 2.0, 4.0]]]])
        >>> score.update(lambda model, x, target: x[:, 0], nn.Linear(3, 2), x, torch.tensor([0]))
        >>> float(score.compute()["mprt"])
        1.0
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

    def __init__(self, *, stages: int = 5, seed: int = 0, share: float = 1.0) -> None:
        super().__init__(share=share, points=count("stages", stages))
        self.stages, self.seed = stages, seed
        self.protocol = self._variant(type(self).protocol, stages=stages, seed=seed, share=share)

    def update(
        self, attribute: Callable[[Any, Tensor, Tensor], Tensor], model: nn.Module, x: Tensor, target: Tensor
    ) -> None:
        """Add inputs; arguments as for ``mprt``."""
        self._check(x=x, target=target)
        likeness = mprt(attribute, model, x, target, stages=self.stages, seed=self.seed)
        final = min(self.stages, len(layers(model))) - 1
        self._add_values({"mprt": likeness.nanmean(1), "last": likeness[:, final], "likeness_curve": likeness})

    def _add_record(self, record: Record) -> None:
        self.update(attributor(record), record.model, record.batch.x, record.explanation.target)
