"""Noisy linear imputation: missing pixels become the weighted mean of their neighbors, many images at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.metrics.attribution_maps._base import identity
from zoo.metrics.base import expect
from zoo.metrics.perturbations.noise import CHOICE, gaussian_noise

CHECK = 8  # steps between two tests of whether all planes are solved


def _around(u: Tensor) -> Tensor:
    """Weighted sum over the eight neighbors, 1/6 beside and 1/12 across; nothing comes from outside the image."""
    rows = F.pad(u, (0, 0, 1, 1))
    v = torch.add(rows[..., :-2, :] + rows[..., 2:, :], u, alpha=2)
    columns = F.pad(v, (1, 1))
    v = torch.add(columns[..., :-2] + columns[..., 2:], v, alpha=2)
    return torch.add(v, u, alpha=-4).div_(12)


def _guess(known: Tensor, weight: Tensor) -> Tensor:
    """Each cell's own mean where it holds a known pixel, and that of the smallest block around it that does."""
    value = known / weight.clamp_min(1e-12)
    if max(known.shape[-2:]) == 1:
        return value
    pool = {"kernel_size": 2, "ceil_mode": True}
    coarse = _guess(F.avg_pool2d(known, **pool), F.avg_pool2d(weight, **pool))
    wide = F.interpolate(coarse, scale_factor=2, mode="bilinear")[..., : known.shape[-2], : known.shape[-1]]
    return torch.where(weight > 0, value, wide)


def fill(x: Tensor, missing: Tensor, *, tolerance: float = 1e-7, max_steps: int = 5000) -> Tensor:
    """Solve for missing pixels such that each is the weighted mean of its neighbors inside the image.

    Beside counts 1/6, across 1/12, over the sum of the weights inside the image (Rong et al., ICML 2022). Times that
    sum, the system is symmetric and positive definite, and conjugate gradients solve it for all planes in parallel.
    Each plane stops by itself, so its values do not depend on the others. The mean of the known pixels is taken off
    first, so that a large mean costs no accuracy.

    Args:
        x: ``(b, c, h, w)``; not changed.
        missing: ``(b, h, w)`` bool; at least one pixel of each image is known.
        tolerance: root mean square of the residual to reach, relative to the largest known absolute deviation from the
            mean of the plane.
        max_steps: limit of the steps.

    Returns:
        ``(b, c, h, w)`` float32, or float64 for float64 inputs.

    Raises:
        ValueError: if a shape does not fit or an image has no known pixel.

    Example:
        >>> gap = torch.tensor([[[False, True, False]]])
        >>> fill(torch.tensor([[[[1000.0, 0.0, 1001.0]]]]), gap)
        tensor([[[[1000.0000, 1000.5000, 1001.0000]]]])
    """
    expect("missing", missing, len(x), *x.shape[-2:])
    unknown = missing.to(x.device).bool()
    if bool(unknown.flatten(1).all(1).any()):
        row = int(unknown.flatten(1).all(1).nonzero()[0])
        raise ValueError(f"missing[{row}] leaves no pixel of the image; at least one must be known")
    work = x.detach() if x.dtype == torch.float64 else x.detach().float()
    hole = unknown[:, None].to(work.dtype)
    mean = (work * (1 - hole)).sum((-2, -1), keepdim=True) / (1 - hole).sum((-2, -1), keepdim=True)
    known = (work - mean) * (1 - hole)
    scale = known.abs().amax((-2, -1), keepdim=True)
    limit = (tolerance * scale).square() * hole.sum((-2, -1), keepdim=True)
    u = _guess(known, (1 - hole).expand_as(known)) * hole
    planes = [t.expand(*known.shape[:2], *t.shape[2:]).flatten(0, 1) for t in (known, hole, u, limit)]
    u = _conjugate_gradients(planes[0], planes[1], planes[2], planes[3], max_steps).view_as(known)
    return torch.where(unknown[:, None], u + mean, work)


def _conjugate_gradients(known: Tensor, hole: Tensor, u: Tensor, limit: Tensor, max_steps: int) -> Tensor:
    """Return u ``(n, h, w)`` once the squared residual of each plane is below its limit."""
    degree = _around(torch.ones_like(hole[:1]))
    r = (_around(known + u) - degree * u) * hole
    p, rs = r.clone(), _dot(r, r)
    solved, at = torch.empty_like(u), torch.arange(len(u), device=u.device)
    for step in range(max_steps):
        active = rs > limit
        if step % CHECK == 0:
            going = active.flatten().nonzero().flatten()
            if len(going) < len(at):
                solved[at] = u  # planes that are done cost no further step
                at, u, r, p, rs, hole, limit, active = (t[going] for t in (at, u, r, p, rs, hole, limit, active))
            if not len(at):
                break
        q = (degree * p).sub_(_around(p)).mul_(hole)
        alpha = torch.where(active, rs / _dot(p, q), 0)
        u.addcmul_(alpha, p)
        r.addcmul_(alpha, q, value=-1)
        new = _dot(r, r)
        p.mul_(torch.where(active, new / rs, 0)).add_(r)
        rs = torch.where(active, new, rs)
    solved[at] = u
    return solved


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((-2, -1), keepdim=True)


def impute(x: Tensor, missing: Tensor, *, noise: float = 0.01, ids: Tensor | None = None, draw: int = 0) -> Tensor:
    """Noisy linear imputation (Rong et al., ICML 2022): ``fill``, and normal noise on what was filled.

    Args:
        x: ``(b, c, h, w)``; not changed.
        missing: ``(b, h, w)`` bool; at least one pixel of each image is known.
        noise: its standard deviation.
        ids: ``(b,)`` int64 that the noise is drawn from; None: a hash of each image.
        draw: number of the draw.

    Returns:
        ``(b, c, h, w)`` of the type of ``x``; known pixels as they were.

    Raises:
        ValueError: as for ``fill``.
    """
    filled = fill(x, missing)
    if noise:
        filled = gaussian_noise(filled, identity(x, ids), draw=CHOICE + 2 + draw, clip=None, std=noise)
    return torch.where(missing.to(x.device).bool()[:, None], filled.to(x.dtype), x)
