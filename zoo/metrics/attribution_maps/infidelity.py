"""Infidelity: does a map predict how a change of the input changes the logit?

Source: Yeh et al., On the (In)fidelity and Sensitivity of Explanations, NeurIPS 2019.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from zoo.metrics.attribution_maps._base import Forward, checked, classes, identity, logit, sweep
from zoo.metrics.attribution_maps._evidence import evidence
from zoo.metrics.attribution_maps._map_score import MapScore
from zoo.metrics.base import Record, count, fraction
from zoo.metrics.perturbations._pixel_changes import PixelChange, noise, squares
from zoo.registry import register


def infidelity(
    forward: Forward,
    x: Tensor,
    attribution: Tensor,
    target: Tensor,
    *,
    change: PixelChange | None = None,
    draws: int = 32,
    ids: Tensor | None = None,
) -> dict[str, Tensor]:
    """Mean square of (I . attribution) - (f(x) - f(x - I)) over changes I of the input (Yeh et al., NeurIPS 2019).

    f is the logit of the target. I is read off the changed input, so what is lost to rounding is not counted. A map
    ``(b, h, w)`` holds for every channel alike.

    Args:
        forward: x -> logits.
        x: ``(b, c, h, w)``; not changed.
        attribution: ``(b, h, w)``, or of the shape of ``x``; not changed.
        target: ``(b,)`` class.
        change: (x, ids, number of the draw) -> x - I; None: ``squares(0.25)``.
        draws: changes of each input.
        ids: ``(b,)`` int64 that changes are drawn from; None: a hash of each input.

    Returns:
        Each ``(b,)`` float64: ``infidelity``; ``scaled`` the same with the map times the factor of least error (the
        scale of a map is often arbitrary); ``zero`` that of a map of zeros; ``unexplained`` scaled over zero, in 0..1,
        NaN where no change affects the logit.

    Raises:
        ValueError: if a shape does not fit or a value is not finite.
    """
    draws, ids, change = count("draws", draws), identity(x, ids), change or squares(0.25)
    target = classes(x, target)
    full = attribution.ndim == x.ndim
    maps = (checked(attribution.flatten(1, 2), x.flatten(1, 2)) if full else checked(attribution, x)).double()
    maps = (maps.reshape(x.shape) if full else maps[:, None]).to(x.device)
    products = []

    def make(numbers: Tensor) -> Tensor:
        changed = torch.stack([change(x, ids, int(draw)) for draw in numbers])
        products.extend(((x.double() - changed) * maps).flatten(2).sum(2))
        return changed

    before = sweep(forward, target, 1, lambda _: x[None], logit)
    drop = before - sweep(forward, target, draws, make, logit)
    predicted = torch.stack(products, 1)
    power = predicted.square().sum(1, keepdim=True)
    best = torch.where(power > 0, (predicted * drop).sum(1, keepdim=True) / power, 0)
    errors = {"infidelity": predicted - drop, "scaled": best * predicted - drop, "zero": drop}
    errors = {name: gap.square().mean(1) for name, gap in errors.items()}
    return errors | {"unexplained": errors["scaled"] / torch.where(errors["zero"] > 0, errors["zero"], torch.nan)}


@register
class Infidelity(MapScore):
    """Error of a map as a prediction of the true logit's change: the read-outs of ``infidelity``, averaged.

    The headline is by the paper and in squared logits, so it depends on the map's scale. ``unexplained`` does not: 0 is
    a map that predicts every change up to one factor, 1 an uninformative map.

    Args:
        change: "squares" removes one square of each image, "noise" adds normal noise.
        size: side of the square as a share of the image's, or the standard deviation of the noise.
        draws: changes of each input.
        share: of the samples that a suite scores.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        The first logit is the sum of the pixels, so a map of ones predicts every change.

        >>> def forward(x):
        ...     return torch.stack([x.sum((1, 2, 3)), torch.zeros(len(x))], 1)
        >>> score = Infidelity(draws=2)
        >>> score.update(forward, torch.ones(1, 1, 4, 4), torch.ones(1, 4, 4), torch.tensor([0]))
        >>> float(score.compute()["infidelity"])
        0.0
    """

    title = "Infidelity"
    meaning = "mean squared error of the logit's change as predicted by the map; 0 is exact"
    protocol = "yeh2019-infidelity-v1"
    higher_is_better = False
    values = ("infidelity", "scaled", "zero", "unexplained")

    def __init__(
        self,
        *,
        change: Literal["squares", "noise"] = "squares",
        size: float = 0.25,
        draws: int = 32,
        share: float = 1.0,
    ) -> None:
        super().__init__(share=share)
        if change not in ("squares", "noise"):
            raise ValueError(f"change is {change!r}; expected squares or noise")
        size = fraction("size", size, zero=False)
        self.change, self.size, self.draws = change, size, count("draws", draws)
        self.protocol = self._variant(type(self).protocol, change=change, size=size, draws=draws, share=share)

    def update(
        self, forward: Forward, x: Tensor, attribution: Tensor, target: Tensor, ids: Tensor | None = None
    ) -> None:
        """Add inputs; arguments as for ``infidelity``."""
        self._check(x=x, attribution=attribution, target=target, ids=ids)
        change = squares(self.size) if self.change == "squares" else noise(self.size)
        self._add_values(infidelity(forward, x, attribution, target, change=change, draws=self.draws, ids=ids))

    def _add_record(self, record: Record) -> None:
        explanation, x = record.explanation, record.batch.x
        self.update(record.model, x, evidence(explanation, record.size), explanation.target, record.batch.index)
