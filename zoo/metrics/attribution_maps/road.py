"""ROAD: remove and debias. Accuracy after pixels are imputed from their neighbors.

Source: Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods, ICML 2022.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.metrics.attribution_maps._base import Forward, checked, classes, identity, ranks, sweep
from zoo.metrics.attribution_maps._evidence import evidence
from zoo.metrics.attribution_maps._impute import impute
from zoo.metrics.attribution_maps._map_score import MapScore
from zoo.metrics.base import Record
from zoo.metrics.perturbations.noise import CHOICE, random_bits
from zoo.registry import register

PERCENTAGES = (10, 20, 30, 40, 50, 70, 90)


def _right(logits: Tensor, target: Tensor) -> Tensor:
    return logits.argmax(1) == target


def road(
    forward: Forward,
    x: Tensor,
    attribution: Tensor,
    target: Tensor,
    *,
    percentages: Sequence[float] = PERCENTAGES,
    noise: float = 0.01,
    chance: bool = True,
    ids: Tensor | None = None,
) -> dict[str, Tensor]:
    """Whether the prediction is correct after a share of the pixels is imputed (Rong et al., ICML 2022).

    Args:
        forward: x -> logits.
        x: ``(b, c, h, w)``; not changed.
        attribution: ``(b, h, w)``; not changed. Pixels of equal evidence follow row by row; a constant map orders none.
        target: ``(b,)`` true class.
        percentages: of the pixels removed, each above 0 and below 100; the number of pixels is rounded down.
        noise: standard deviation of the noise on imputed pixels.
        chance: whether to remove random pixels as well.
        ids: ``(b,)`` int64 that noise and chance are drawn from; None: a hash of each input.

    Returns:
        ``morf_curve``, ``lerf_curve`` and ``random_curve``: each ``(b, percentages)`` float64, 1 where right, with the
        most relevant, the least relevant and random pixels removed first. NaN: the first two of a constant map, the
        last without ``chance``.

    Raises:
        ValueError: if a shape or a percentage does not fit, or a value is not finite.
    """
    done = _counts(percentages, x.shape[-2:].numel(), x.device)
    target, ids = classes(x, target), identity(x, ids)
    flat = checked(attribution, x).to(x.device).flatten(1)
    order = ranks(flat)
    constant = (flat == flat[:, :1]).all(1)

    def curve(order: Tensor) -> Tensor:
        def make(steps: Tensor) -> Tensor:
            missing = (order < done[steps, None, None]).unflatten(2, x.shape[-2:]).flatten(0, 1)
            many = x.repeat(len(steps), *[1] * (x.ndim - 1))
            names = (ids[None] ^ (steps[:, None] + 1) * 0x5851F42D4C957F2D).flatten()
            return impute(many, missing, noise=noise, ids=names).unflatten(0, (len(steps), len(x)))

        return sweep(forward, target, len(done), make, _right)

    curves = {"morf_curve": curve(order), "lerf_curve": curve(order.shape[1] - 1 - order)}
    curves = {name: values.masked_fill(constant[:, None], torch.nan) for name, values in curves.items()}
    random = ranks(random_bits(ids, draw=CHOICE + 3, count=order.shape[1])) if chance else None
    curves["random_curve"] = curves["morf_curve"] * torch.nan if random is None else curve(random)
    return curves


def _counts(percentages: Sequence[float], pixels: int, device: torch.device | str = "cpu") -> Tensor:
    numbers = [p for p in percentages if isinstance(p, (int, float)) and not isinstance(p, bool) and 0 < p < 100]
    if not numbers or len(numbers) != len(percentages):
        raise ValueError(f"percentages is {list(percentages)}; expected numbers above 0 and below 100")
    return torch.tensor([int(pixels * p / 100) for p in numbers], device=device)


@register
class Road(MapScore):
    """Accuracy with the least relevant pixels imputed less that with the most relevant; high is good, 0 is chance.

    ``road``, the headline, is the mean over the percentages of LeRF less MoRF. Further read-outs: ``morf``, ``lerf``
    and ``random``, the mean accuracies of ``road`` above, and their curves over ``percentages``. A constant map orders
    no pixels: there the score is undefined (``undefined`` is the share of such inputs).

    Args:
        percentages: of the pixels removed.
        noise: standard deviation of the noise on imputed pixels, on the normalized input.
        chance: whether to remove random pixels as well.
        share: of the samples that a suite scores; each costs three (with chance) passes for each percentage.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        The answer depends on the first pixel, which the map ranks first.

        >>> def forward(x):
        ...     return torch.stack([x[:, 0, 0, 0] - 0.5, 0.5 - x[:, 0, 0, 0]], 1)
        >>> score = Road(percentages=(25, 50), noise=0)
        >>> x, maps = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]]), torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])
        >>> score.update(forward, x, maps, torch.tensor([0]))
        >>> {name: float(score.compute()[name]) for name in ("road", "morf", "lerf")}
        {'road': 1.0, 'morf': 0.0, 'lerf': 1.0}
    """

    title = "ROAD"
    meaning = "accuracy with the least relevant pixels imputed minus that with the most relevant; chance is 0"
    axes = {"*": ("percentage of pixels imputed, by number", "accuracy")}
    protocol = "rong2022-v1"
    bounds = (-1, 1)
    values: tuple[str, ...] = ("road", "morf", "lerf", "random")
    curves: tuple[str, ...] = ("morf_curve", "lerf_curve", "random_curve")

    def __init__(
        self,
        *,
        percentages: Sequence[float] = PERCENTAGES,
        noise: float = 0.01,
        chance: bool = True,
        share: float = 1.0,
    ) -> None:
        self.percentages, self.noise, self.chance = tuple(percentages), float(noise), bool(chance)
        _counts(self.percentages, 1)
        names = slice(None, None if chance else -1)
        self.values, self.curves = type(self).values[names], type(self).curves[names]
        super().__init__(share=share, points=len(self.percentages))
        self.protocol = self._variant(type(self).protocol, noise=noise, share=share)
        if self.percentages != PERCENTAGES:
            self.protocol += "/percentages" + "-".join(f"{p:g}" for p in self.percentages)

    def update(
        self, forward: Forward, x: Tensor, attribution: Tensor, target: Tensor, ids: Tensor | None = None
    ) -> None:
        """Add inputs; arguments as for ``road``."""
        self._check(x=x, attribution=attribution, target=target, ids=ids)
        curves = road(
            forward,
            x,
            attribution,
            target,
            percentages=self.percentages,
            noise=self.noise,
            chance=self.chance,
            ids=ids,
        )
        means = {name.removesuffix("_curve"): curve.mean(1) for name, curve in curves.items()}
        self._add_values(curves | means | {"road": means["lerf"] - means["morf"]})

    def _add_record(self, record: Record) -> None:
        explanation, x = record.explanation, record.batch.x
        self.update(record.model, x, evidence(explanation, record.size), explanation.target, record.batch.index)
