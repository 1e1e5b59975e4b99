"""Deletion and insertion: how fast does the probability change as pixels are removed or inserted?

Source: Petsiuk, Das, Saenko, RISE: Randomized Input Sampling for Explanation of Black-box Models, BMVC 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.metrics.attribution_maps._base import Forward, checked, classes, identity, probability, ranks, sweep
from zoo.metrics.attribution_maps._evidence import evidence
from zoo.metrics.attribution_maps._map_score import MapScore
from zoo.metrics.base import Record, count
from zoo.metrics.perturbations._pixel_changes import blur
from zoo.metrics.perturbations.noise import CHOICE, random_bits
from zoo.registry import register


def path(forward: Forward, first: Tensor, last: Tensor, order: Tensor, target: Tensor, *, steps: int) -> Tensor:
    """Probability of the target as pixels change from one image to another in a given order.

    Args:
        forward: x -> logits.
        first: ``(b, c, h, w)`` the image at the start.
        last: ``(b, c, h, w)`` the image at the end.
        order: ``(b, h * w)`` place of each pixel in the order, from 0.
        target: ``(b,)`` class.
        steps: number of equal steps, in pixels as equal as whole numbers allow.

    Returns:
        ``(b, steps + 1)`` float64: before the first step, ..., after the last.
    """
    done = _counts(order.shape[1], steps, order.device)

    def make(numbers: Tensor) -> Tensor:
        changed = order < done[numbers, None, None]
        return torch.where(changed.unflatten(2, first.shape[-2:])[:, :, None], last, first)

    return sweep(forward, target, steps + 1, make, probability)


def _counts(pixels: int, steps: int, device: torch.device) -> Tensor:
    return (torch.arange(steps + 1, device=device) * pixels + steps // 2) // steps


def area(curve: Tensor, pixels: int) -> Tensor:
    """Area under each curve ``(b, steps + 1)`` over the share of pixels changed, by trapezia."""
    at = _counts(pixels, curve.shape[1] - 1, curve.device).double() / pixels
    return torch.trapezoid(curve, at, dim=1)


def deletion(
    forward: Forward,
    x: Tensor,
    attribution: Tensor,
    target: Tensor,
    *,
    steps: int = 20,
    baseline: float = 0.0,
    chance: bool = True,
    ids: Tensor | None = None,
) -> dict[str, Tensor]:
    """Deletion and insertion curves and their areas (Petsiuk et al., BMVC 2018).

    Deletion sets pixels to ``baseline``, the highest evidence first; insertion brings them into a blurred image in the
    same order. Pixels of equal evidence follow row by row.

    Args:
        forward: x -> logits.
        x: ``(b, c, h, w)``; not changed.
        attribution: ``(b, h, w)``; not changed.
        target: ``(b,)`` class whose probability is read.
        steps: of each curve.
        baseline: value of a deleted pixel, in every channel.
        chance: whether to follow a random order as well.
        ids: ``(b,)`` int64 that the random order is drawn from; None: a hash of each input.

    Returns:
        ``deletion`` and ``insertion`` ``(b,)`` areas, ``gap`` insertion less deletion, ``random_deletion`` and
        ``random_insertion`` (NaN without ``chance``), ``deletion_curve`` and ``insertion_curve`` ``(b, steps + 1)``.

    Raises:
        ValueError: if a shape does not fit or a value is not finite.
    """
    target = classes(x, target)
    maps, pixels = checked(attribution, x).to(x.device).flatten(1), x.shape[-2:].numel()
    empty, start = torch.full_like(x, baseline), blur(x)

    def both(order: Tensor) -> tuple[Tensor, Tensor]:
        removed = path(forward, x, empty, order, target, steps=steps)
        return removed, path(forward, start, x, order, target, steps=steps)

    deleted, inserted = both(ranks(maps))
    readouts = {"deletion": area(deleted, pixels), "insertion": area(inserted, pixels)}
    readouts["gap"] = readouts["insertion"] - readouts["deletion"]
    readouts |= dict.fromkeys(("random_deletion", "random_insertion"), torch.full_like(readouts["gap"], torch.nan))
    if chance:
        curves = both(ranks(random_bits(identity(x, ids), draw=CHOICE + 1, count=pixels)))
        readouts |= {
            f"random_{name}": area(c, pixels) for name, c in zip(("deletion", "insertion"), curves, strict=True)
        }
    return readouts | {"deletion_curve": deleted, "insertion_curve": inserted}


@register
class MapDeletion(MapScore):
    """Area under the probability of the true class as pixels are deleted, the highest evidence first; low is good.

    Further read-outs: those of ``deletion``. ``random_deletion`` and ``random_insertion`` are what a random order of
    the pixels gives on the same samples: a map is informative where it is below the first or above the second.

    Args:
        steps: of each curve.
        baseline: value of a deleted pixel on the normalized input; 0 is the mean color of the data.
        chance: whether to follow a random order as well.
        share: of the samples that a suite scores; each costs four (with chance) times ``steps`` + 1 passes.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        The probability falls from 1 to 0.5 with the first of two pixels: the area is 0.375 + 0.25.

        >>> def forward(x):
        ...     return torch.cat([100 * x[:, 0, 0, :1], torch.zeros(len(x), 1)], 1)
        >>> score = MapDeletion(steps=2, chance=False)
        >>> score.update(forward, torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[1.0, 0.0]]]), torch.tensor([0]))
        >>> float(score.compute()["deletion"])
        0.625
    """

    title = "Map deletion"
    meaning = "area under the probability of the true class as the pixels of highest evidence are deleted first"
    axes = {"*": ("share of pixels deleted or inserted, in equal steps", "probability of the true class")}
    protocol = "petsiuk2018-v1"
    higher_is_better = False
    bounds = (0, 1)
    values: tuple[str, ...] = ("deletion", "insertion", "gap", "random_deletion", "random_insertion")
    curves: tuple[str, ...] = ("deletion_curve", "insertion_curve")

    def __init__(self, *, steps: int = 20, baseline: float = 0.0, chance: bool = True, share: float = 1.0) -> None:
        self.values = type(self).values if chance else type(self).values[:3]
        super().__init__(share=share, points=count("steps", steps) + 1)
        self.steps, self.baseline, self.chance = steps, float(baseline), bool(chance)
        self.protocol = self._variant(type(self).protocol, steps=steps, baseline=baseline, share=share)

    def update(
        self, forward: Forward, x: Tensor, attribution: Tensor, target: Tensor, ids: Tensor | None = None
    ) -> None:
        """Add inputs; arguments as for ``deletion``."""
        self._check(x=x, attribution=attribution, target=target, ids=ids)
        how = {"steps": self.steps, "baseline": self.baseline, "chance": self.chance, "ids": ids}
        self._add_values(deletion(forward, x, attribution, target, **how))

    def _add_record(self, record: Record) -> None:
        explanation, x = record.explanation, record.batch.x
        self.update(record.model, x, evidence(explanation, record.size), explanation.target, record.batch.index)
