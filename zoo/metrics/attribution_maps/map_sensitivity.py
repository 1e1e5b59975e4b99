"""Robustness of a map: how far does it move when the input moves a little?

Source: Yeh et al., On the (In)fidelity and Sensitivity of Explanations, NeurIPS 2019; Alvarez-Melis, Jaakkola, On the
Robustness of Interpretability Methods, 2018; Agarwal et al., Rethinking Stability for Attribution-based Explanations,
2022.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from zoo.metrics.attribution_maps._base import ROWS, Attribute, Forward, answers, checked, classes, identity
from zoo.metrics.attribution_maps._evidence import attributor
from zoo.metrics.attribution_maps._map_score import MapScore
from zoo.metrics.base import Record, count
from zoo.metrics.perturbations._pixel_changes import nearby
from zoo.metrics.record_batch import evaluating
from zoo.registry import register

FLOOR = 1e-6  # smallest size by which a relative change is divided


def robustness(
    attribute: Attribute,
    x: Tensor,
    target: Tensor,
    *,
    forward: Forward | None = None,
    radius: float = 0.1,
    draws: int = 10,
    ids: Tensor | None = None,
    move: Callable[..., Tensor] = nearby,
) -> dict[str, Tensor]:
    """Changes of a map over random neighbors x' of each input; norms are Euclidean.

    Args:
        attribute: x, target -> attribution ``(b, h, w)``; may use gradients.
        x: ``(b, ...)`` inputs; not changed.
        target: ``(b,)`` class explained, the same for the neighbors.
        forward: x -> logits; without it the two relative stabilities are NaN.
        radius: half side of the box of neighbors.
        draws: neighbors of each input.
        ids: ``(b,)`` int64 that the noise is drawn from; None: a hash of each input.
        move: how a neighbor is made, as ``nearby``.

    Returns:
        Each ``(b,)`` float64. ``max_sensitivity`` and ``avg_sensitivity``: largest and mean size of e(x') - e(x) (Yeh
        et al., NeurIPS 2019), ``relative_max`` and ``relative_avg`` the same over the size of e(x) (NaN for a map of
        zeros). ``lipschitz``: largest size of e(x') - e(x) over that of x' - x (Alvarez-Melis and Jaakkola, 2018).
        ``input_stability`` and ``output_stability``: largest size of (e(x') - e(x)) / e(x), entry by entry, over that
        of (x' - x) / x and over that of the change of the logits, each at least 1e-6, among the neighbors with the
        same predicted class (Agarwal et al., 2022); NaN if there is none.
    """
    draws, ids, target = count("draws", draws), identity(x, ids), classes(x, target)
    first = _maps(attribute, x, target)
    logits = None if forward is None else _logits(forward, x, target)
    moved, far, inward, outward = [], [], [], []
    for chunk in torch.arange(draws).split(max(1, ROWS // max(1, len(x)))):
        near = torch.cat([move(x, ids, draw=int(draw), radius=radius) for draw in chunk])
        again = _maps(attribute, near, target.repeat(len(chunk))).unflatten(0, (len(chunk), len(x)))
        step = (near.unflatten(0, (len(chunk), len(x))).double() - x).flatten(2)
        change = again - first
        moved.append(torch.linalg.vector_norm(change, dim=2))
        far.append(torch.linalg.vector_norm(step, dim=2))
        if forward is not None and logits is not None:
            after = _logits(forward, near, target).unflatten(0, (len(chunk), len(x)))
            kept = after.argmax(2) == logits.argmax(1)
            relative = torch.where(kept, torch.linalg.vector_norm(change / _size(first), dim=2), -torch.inf)
            entry = torch.linalg.vector_norm(step / _size(x.flatten(1).double()), dim=2)
            inward.append(relative / entry.clamp_min(FLOOR))
            outward.append(relative / torch.linalg.vector_norm(after - logits, dim=2).clamp_min(FLOOR))
    moved, far = torch.cat(moved), torch.cat(far)
    norm = torch.linalg.vector_norm(first, dim=1)
    none = torch.full_like(norm, torch.nan)
    slope = torch.where(far > 0, moved / far, -torch.inf).amax(0)
    return {
        "max_sensitivity": moved.amax(0),
        "avg_sensitivity": moved.mean(0),
        "relative_max": torch.where(norm > 0, moved.amax(0) / norm, torch.nan),
        "relative_avg": torch.where(norm > 0, moved.mean(0) / norm, torch.nan),
        "lipschitz": _known(slope),
        "input_stability": _known(torch.cat(inward).amax(0)) if inward else none,
        "output_stability": _known(torch.cat(outward).amax(0)) if outward else none,
    }


def _maps(attribute: Attribute, x: Tensor, target: Tensor) -> Tensor:
    with torch.enable_grad():
        maps = attribute(x.detach(), target)
    return checked(maps, x).flatten(1).double()


def _logits(forward: Forward, x: Tensor, target: Tensor) -> Tensor:
    with evaluating(forward), torch.no_grad():
        return answers(forward, x, target)


def _size(values: Tensor) -> Tensor:
    return values.abs().clamp_min(FLOOR)


def _known(values: Tensor) -> Tensor:
    return torch.where(values.isfinite(), values, torch.nan)


@register
class MapSensitivity(MapScore):
    """How far a map moves when the input moves a little: the read-outs of ``robustness``, averaged over samples.

    The headline is max-sensitivity by its paper, in the map's own units; ``relative_max`` compares families whose maps
    differ in scale. Neighbors: uniform in a box of half side ``radius`` on the normalized input.

    Args:
        radius: half side of the box.
        draws: neighbors of each input. The largest change grows with their number, so it is part of the id.
        share: of the samples that a suite scores.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        A map that is the image itself moves as far as the image.

        >>> score = MapSensitivity(draws=2)
        >>> score.update(lambda x, target: x[:, 0], torch.ones(1, 1, 3, 3), torch.tensor([0]))
        >>> round(float(score.compute()["lipschitz"]), 4)
        1.0
    """

    title = "Map sensitivity"
    meaning = "largest change of the map under small random changes of the input"
    protocol = "zoo-map-sensitivity-v1"
    higher_is_better = False
    values = (
        "max_sensitivity",
        "avg_sensitivity",
        "relative_max",
        "relative_avg",
        "lipschitz",
        "input_stability",
        "output_stability",
    )

    def __init__(self, *, radius: float = 0.1, draws: int = 10, share: float = 1.0) -> None:
        super().__init__(share=share)
        if isinstance(radius, bool) or not isinstance(radius, (int, float)) or not 0 < radius < math.inf:
            raise ValueError(f"radius is {radius!r}; expected a number above 0")
        self.radius, self.draws = radius, count("draws", draws)
        self.protocol = self._variant(type(self).protocol, radius=radius, draws=draws, share=share)

    def update(
        self, attribute: Attribute, x: Tensor, target: Tensor, forward: Forward | None = None, ids: Tensor | None = None
    ) -> None:
        """Add inputs; arguments as for ``robustness``."""
        self._check(x=x, target=target, ids=ids)
        self._add_values(
            robustness(attribute, x, target, forward=forward, radius=self.radius, draws=self.draws, ids=ids)
        )

    def _add_record(self, record: Record) -> None:
        explanation, batch = record.explanation, record.batch
        self.update(partial(attributor(record), record.model), batch.x, explanation.target, record.model, batch.index)
