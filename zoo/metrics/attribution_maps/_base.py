"""What the scores of input maps share: checks, orders of pixels, and answers to changed inputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from zoo.batch import content_hash
from zoo.metrics.base import expect
from zoo.metrics.record_batch import evaluating

Forward = Callable[[Tensor], Tensor]  # x (b, ...) -> logits (b, c)
Attribute = Callable[[Tensor, Tensor], Tensor]  # x (b, ...), target (b,) -> attribution (b, h, w)
ROWS = 64  # inputs that a model is given at a time


def checked(attribution: Tensor, x: Tensor | None = None) -> Tensor:
    """A user's maps ``(b, h, w)`` without their graph, checked to be finite and to lie over ``x``.

    Raises:
        ValueError: naming the shape, or the sample that holds a value that is not finite.
    """
    if attribution.ndim == 4:
        raise ValueError(
            f"attribution is {tuple(attribution.shape)}; give one value a pixel, as attribution.sum(1) has"
        )
    expect("attribution", attribution, *((None,) * 3 if x is None else (len(x), *x.shape[-2:])))
    maps = attribution.detach()
    rows = maps.flatten(1)
    ends = (
        [rows.amax(1), rows.amin(1)] if maps.numel() else []
    )  # equivalent to a check of every value, 20 times as fast
    if not all(bool(end.isfinite().all()) for end in ends):
        row = int((~maps.isfinite()).flatten(1).any(1).nonzero()[0])
        raise ValueError(f"attribution[{row}] has a value that is not finite; mend the map or leave the sample out")
    return maps


def classes(x: Tensor, target: Tensor) -> Tensor:
    """The target classes ``(b,)``, int64 and where the inputs are.

    Raises:
        ValueError: if there is not one whole number for each input.
    """
    expect("target", target, len(x))
    if target.is_floating_point():
        raise ValueError(f"target is {target.dtype}; expected the number of a class for each input, int64")
    return target.to(x.device, torch.int64)


def identity(x: Tensor, ids: Tensor | None) -> Tensor:
    """What a sample's noise is drawn from: its id ``(b,)``, or a hash of its content."""
    if ids is None:
        return content_hash(x)
    expect("ids", ids, len(x))
    return ids.to(x.device)


def ascending(rows: Tensor) -> Tensor:
    """Each row ``(b, n)`` in ascending order; numpy sorts 40 times as fast as torch on a processor."""
    if rows.device.type == "cpu" and rows.dtype in (torch.float32, torch.float64):
        return torch.from_numpy(np.sort(rows.numpy(), axis=1))
    return rows.sort(1).values


def ranks(values: Tensor) -> Tensor:
    """Place of each entry of ``(b, n)`` from the highest, 0, to the lowest; equal entries in their order."""
    order = values.argsort(dim=1, descending=True, stable=True)
    place = torch.arange(order.shape[1], device=order.device)
    return torch.empty_like(order).scatter_(1, order, place.expand_as(order))


def sweep(forward: Forward, target: Tensor, count: int, make: Callable[[Tensor], Tensor], read: Callable) -> Tensor:
    """Answers to many versions of each input, several versions in one call; a module is put in eval mode.

    Args:
        forward: x -> logits.
        target: ``(b,)`` class.
        count: number of versions.
        make: numbers ``(s,)`` of versions -> inputs ``(s, b, ...)``.
        read: float64 logits ``(n, c)``, target ``(n,)`` -> values ``(n,)``.

    Returns:
        ``(b, count)`` float64.
    """
    values, b = [], len(target)
    with evaluating(forward), torch.no_grad():
        for steps in torch.arange(count, device=target.device).split(max(1, ROWS // max(1, b))):
            logits = answers(forward, make(steps).flatten(0, 1), target)
            values.append(read(logits, target.repeat(len(steps))).double().reshape(len(steps), b))
    return torch.cat(values).T


def answers(forward: Forward, x: Tensor, target: Tensor) -> Tensor:
    """Float64 logits ``(b, c)``.

    Raises:
        ValueError: if ``forward`` gives another shape or has no class of the number ``target``.
    """
    logits = forward(x).detach().double()
    expect("forward(x)", logits, len(x), None)
    if len(target) and not 0 <= int(target.min()) <= int(target.max()) < logits.shape[1]:
        numbers, last = f"{int(target.min())} to {int(target.max())}", logits.shape[1] - 1
        raise ValueError(f"target holds {numbers}; forward(x) has classes 0 to {last}")
    return logits


def logit(logits: Tensor, target: Tensor) -> Tensor:
    """The logit of the target."""
    return logits.gather(1, target[:, None])[:, 0]


def probability(logits: Tensor, target: Tensor) -> Tensor:
    """The probability of the target."""
    return logit(logits.softmax(1), target)
