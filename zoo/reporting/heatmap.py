"""Pictures of evidence: heat maps, frames around the strongest part, crops, ``data:`` URIs for a page."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from zoo.explanation import upsample

Box = tuple[int, int, int, int]

SIDE = 192  # pixels of a picture on a page
CRISP = 64  # pictures up to this side are enlarged as visible pixels: smoothing would invent detail
_FRAME = (0, 229, 255)  # cyan does not occur in the heat map
_HALO = (10, 10, 30)
FOR = (0, 170, 135)  # as in the bars of a page
AGAINST = (235, 110, 20)


def box(evidence: Tensor, size: int | tuple[int, int], quantile: float = 0.95) -> Box:
    """Return the smallest box around the strongest evidence: the patch of Chen et al., This Looks Like That, 2019.

    Args:
        evidence: ``(h, w)`` on the model's own grid.
        size: side of the square input, or (height, width), in pixels.
        quantile: pixels whose upsampled evidence is at or above this quantile lie in the box.

    Returns:
        ``(x0, y0, x1, y1)`` in pixels of the input, half-open: pixel (x, y) is inside if x0 <= x < x1 and y0 <= y < y1.
    """
    pixels = upsample(evidence.detach().double()[None, None].cpu(), size)[0, 0].numpy()
    ys, xs = np.nonzero(pixels >= np.quantile(pixels, quantile))
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def crop(picture: Tensor, box: Box) -> Tensor:
    """Return the ``(3, y1 - y0, x1 - x0)`` part of a ``(3, s, s)`` picture inside a half-open box.

    Raises:
        ValueError: if the box is empty or leaves the picture.
    """
    x0, y0, x1, y1 = box
    height, width = picture.shape[-2:]
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise ValueError(f"box {box} does not lie in a picture of {width} x {height}; expected (x0, y0, x1, y1)")
    return picture[..., y0:y1, x0:x1]


def checked_pixels(picture: Tensor) -> np.ndarray:
    """Return a picture ``(3, h, w)`` in 0..1 as bytes ``(h, w, 3)``.

    Raises:
        ValueError: if it is something else.
    """
    if picture.ndim != 3 or len(picture) != 3:
        raise ValueError(f"a picture is {tuple(picture.shape)}; expected (3, height, width)")
    low, high = float(picture.min()), float(picture.max())
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise ValueError(f"a picture spans {low:.3g}..{high:.3g}; expected 0..1: undo the normalization first")
    return (picture.detach().float().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()


def image(picture: Tensor, *, side: int = SIDE, frame: Box | None = None, crisp: bool | None = None) -> Image.Image:
    """Return an 8-bit image, its longer side ``side`` pixels (a little more where pixels stay whole).

    Args:
        picture: ``(3, s, s)`` in 0..1.
        side: pixels of the longer side.
        frame: a box of the picture to draw on it.
        crisp: enlarge as visible pixels; by default for pictures of at most 64 pixels.

    Raises:
        ValueError: if the picture is not ``(3, s, s)`` in 0..1.
    """
    array = checked_pixels(picture)
    longer = max(array.shape[:2])
    crisp = longer <= CRISP if crisp is None else crisp
    scale = -(-side // longer) if crisp else side / longer
    size = (max(1, round(array.shape[1] * scale)), max(1, round(array.shape[0] * scale)))
    drawn = Image.fromarray(array).resize(size, Image.Resampling.NEAREST if crisp else Image.Resampling.LANCZOS)
    return drawn if frame is None else _framed(drawn, frame, scale)


def overlay(picture: Tensor, evidence: Tensor, *, side: int = SIDE, frame: Box | None = None) -> Image.Image:
    """Return a picture under a heat map of its evidence: the stronger, the brighter and the less transparent.

    Evidence is scaled to its own smallest and largest value, so heat compares places in one map and not two maps.
    Evidence that is the same everywhere leaves the picture as it is.

    Args:
        picture: ``(3, s, s)`` in 0..1.
        evidence: ``(h, w)`` on the model's own grid.
        side: pixels of the longer side.
        frame: a box of the picture to draw on top.
    """
    below = image(picture, side=side)
    evidence = evidence.detach().double().cpu()
    span = evidence.max() - evidence.min()
    level = (evidence - evidence.min()) / span if span > 0 else torch.zeros_like(evidence)
    heat = upsample(level[None, None], (below.height, below.width))[0, 0].clamp(0, 1).numpy()
    from matplotlib import colormaps

    color = colormaps["inferno"](0.15 + 0.8 * heat)[..., :3]
    alpha = 0.8 * heat[..., None] ** 1.5
    mixed = (1 - alpha) * np.asarray(below) / 255 + alpha * color
    drawn = Image.fromarray((mixed * 255).round().astype(np.uint8))
    return drawn if frame is None else _framed(drawn, frame, drawn.width / picture.shape[-1])


def signed(evidence: Tensor, picture: Tensor | None = None, *, side: int = SIDE) -> Image.Image:
    """Return signed evidence over a picture, or on white: blue-green is positive, orange negative, colorless 0.

    Scaled so that the largest absolute value has full color: colors compare places in one map and not two maps.

    Args:
        evidence: ``(h, w)``
        picture: ``(3, s, s)`` in 0..1.
        side: pixels of the longer side.
    """
    evidence = evidence.detach().double().cpu()
    level = evidence / evidence.abs().max().clamp_min(1e-30)
    drawn = image(torch.ones(3, *level.shape) if picture is None else picture, side=side)
    size = (drawn.height, drawn.width)
    same = picture is None or level.shape == picture.shape[-2:]  # its own pixels: smoothing would invent detail
    resize = torch.nn.functional.interpolate
    level = resize(level[None, None], size=size, mode="nearest-exact" if same else "bicubic")[0, 0].clamp(-1, 1)
    level = level.numpy()[..., None]
    color = np.where(level > 0, np.array(FOR), np.array(AGAINST)) / 255
    alpha = abs(level) ** 0.7
    mixed = (1 - alpha) * np.asarray(drawn) / 255 + alpha * color
    return Image.fromarray((mixed * 255).round().astype(np.uint8))


def _framed(drawn: Image.Image, frame: Box, scale: float) -> Image.Image:
    """Return a picture with a bright frame between two dark lines, visible on any picture."""
    x0, y0, x1, y1 = (round(n * scale) for n in frame)
    pen = ImageDraw.Draw(drawn)
    pen.rectangle((x0, y0, x1 - 1, y1 - 1), outline=_HALO, width=5)
    pen.rectangle((x0 + 1, y0 + 1, x1 - 2, y1 - 2), outline=_FRAME, width=3)
    return drawn


def data_uri(drawn: Image.Image) -> str:
    """Return the image as a ``data:`` URI: PNG for few colors or where parts of it are clear, JPEG for photographs."""
    buffer = io.BytesIO()
    exact = drawn.getcolors(300) is not None or "A" in drawn.getbands()
    drawn.save(buffer, "PNG", optimize=True) if exact else drawn.save(buffer, "JPEG", quality=82, optimize=True)
    return f"data:image/{'png' if exact else 'jpeg'};base64,{base64.b64encode(buffer.getvalue()).decode()}"
