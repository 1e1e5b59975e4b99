"""The pictures of a page: each is stored once and drawn by reference, its heat map and frame on top, without a script.

A picture of few pixels is stored pixel by pixel (PNG), a photograph as WebP. A heat map is a palette of 12 colors over
the model's own grid, enlarged by the browser; a frame is a line.
"""

from __future__ import annotations

import base64
import io
from functools import cache
from hashlib import sha256

import numpy as np
import torch
from markupsafe import Markup
from PIL import Image
from torch import Tensor

from zoo.explanation import upsample
from zoo.reporting.heatmap import AGAINST, CRISP, FOR, Box, checked_pixels

SIDE = 192  # pixels of the longer side of a stored photograph
QUALITY = 70  # of WebP
LEVELS = 12  # colors of a heat map
GRID = 7  # cells of the longer side that a coarser heat map is brought to by the cubic filter of the scores
HEAT = 0.6  # opacity of the strongest evidence: the object stays visible below
SIGNED = 0.75  # the same of signed evidence


class Album:
    """Pictures by their contents.

    Example:
        >>> album = Album()
        >>> drawn = [album.picture(torch.zeros(3, 8, 6), "a digit") for _ in range(2)]
        >>> drawn[0] == drawn[1], album.definitions().count("<image")
        (True, 1)
    """

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._pictures: dict[tuple[tuple[int, ...], bytes], str] = {}

    def picture(
        self,
        picture: Tensor,
        label: str,
        *,
        evidence: Tensor | None = None,
        signed: bool = False,
        frame: Box | None = None,
        box: Box | None = None,
        kind: str = "",
    ) -> Markup:
        """Return a drawing of a picture.

        Args:
            picture: ``(3, h, w)`` in 0..1; or ``(h, w)``, a signed template.
            label: what it shows, for a reader who does not see it; empty for a decoration.
            evidence: ``(g, g)`` on the model's own grid, drawn on top.
            signed: whether evidence has a sign.
            frame: a box of the picture that is framed.
            box: the part of the picture that is drawn; None for all of it.
            kind: a class of the style sheet.

        Raises:
            ValueError: if a picture is not ``(3, h, w)`` in 0..1.
        """
        height, width = picture.shape[-2:]
        parts = [self._use(self._of(picture))]
        if evidence is not None:
            parts.append(self._use(self._heat(evidence, signed, height, width)))
        if frame is not None:
            x0, y0, x1, y1 = frame
            line = f"M{x0} {y0}H{x1}V{y1}H{x0}Z"
            parts.append(Markup('<path d="{0}"/><path d="{0}"/>').format(line))  # a bright line on a dark one
        x0, y0, x1, y1 = box or (0, 0, width, height)
        said = Markup(' role="img" aria-label="{}"').format(label) if label else Markup(' aria-hidden="true"')
        return Markup('<svg class="picture{}" viewBox="{} {} {} {}"{}>{}</svg>').format(
            f" {kind}" if kind else "", x0, y0, x1 - x0, y1 - y0, said, Markup("").join(parts)
        )

    def definitions(self) -> Markup:
        """Return the element that holds all pictures; empty if there are none."""
        if not self._ids:
            return Markup("")
        images = (Markup('<image id="{}" {}/>').format(i, Markup(text)) for text, i in self._ids.items())  # noqa: S704
        return Markup('<svg class="album" width="0" height="0" aria-hidden="true"><defs>{}</defs></svg>').format(
            Markup("\n").join(images)
        )

    def _use(self, name: str) -> Markup:
        return Markup('<use href="#{}"/>').format(name)

    def _stored(self, uri: str, width: int, height: int, *, crisp: bool, stretch: bool = False) -> str:
        style = (' class="crisp"' if crisp else "") + (' preserveAspectRatio="none"' if stretch else "")
        text = f'width="{width}" height="{height}"{style} href="{uri}"'
        return self._ids.setdefault(text, f"p{len(self._ids)}")

    def _of(self, picture: Tensor) -> str:
        """The id of a picture, which is encoded once."""
        array = picture.detach().cpu().contiguous()
        key = (tuple(array.shape), sha256(array.float().numpy().tobytes()).digest())
        if key not in self._pictures:
            self._pictures[key] = self._template(array) if array.ndim == 2 else self._photograph(array)
        return self._pictures[key]

    def _photograph(self, picture: Tensor) -> str:
        array = checked_pixels(picture)
        height, width = array.shape[:2]
        image, longer = Image.fromarray(array), max(height, width)
        if longer <= CRISP:
            gray = bool((array == array[..., :1]).all())
            return self._stored(png(image.convert("L") if gray else image), width, height, crisp=True)
        if longer > SIDE:
            size = (max(1, round(width * SIDE / longer)), max(1, round(height * SIDE / longer)))
            image = image.resize(size, Image.Resampling.LANCZOS)
        if image.getcolors(64) is not None:
            return self._stored(png(image), width, height, crisp=False)
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=QUALITY, method=4)
        uri = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        return self._stored(uri, width, height, crisp=False, stretch=True)  # the size was rounded

    def _template(self, template: Tensor) -> str:
        height, width = template.shape
        return self._stored(_palette_png(_signed_levels(template), signed=True, white=True), width, height, crisp=True)

    def _heat(self, evidence: Tensor, signed: bool, height: int, width: int) -> str:
        own = tuple(evidence.shape) == (height, width)  # its own pixels: smoothing would invent detail
        levels = _signed_levels(evidence) if signed else _heat_levels(evidence, smooth=not own)
        stretch = levels.shape[0] * width != levels.shape[1] * height
        return self._stored(_palette_png(levels, signed=signed), width, height, crisp=own, stretch=stretch)


def png(image: Image.Image) -> str:
    """Return an image as the ``data:`` URI of a PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _heat_levels(evidence: Tensor, *, smooth: bool) -> np.ndarray:
    """Levels 0 to 11 of evidence, scaled to its own smallest and largest value; 0 where it is the same everywhere."""
    evidence = evidence.detach().double().cpu()
    span = evidence.max() - evidence.min()
    level = (evidence - evidence.min()) / span if span > 0 else torch.zeros_like(evidence)
    longer = max(level.shape)
    if smooth and longer < GRID:
        factor = -(-GRID // longer)
        level = upsample(level[None, None], (level.shape[0] * factor, level.shape[1] * factor))[0, 0].clamp(0, 1)
    return (level * (LEVELS - 1)).round().byte().numpy()


def _signed_levels(evidence: Tensor) -> np.ndarray:
    """Levels 0 to 14 of signed evidence, 7 for 0, scaled to its largest absolute value."""
    evidence = evidence.detach().double().cpu()
    level = evidence / evidence.abs().max().clamp_min(1e-30)
    return (level * 7 + 7).round().byte().numpy()


@cache
def _palette(signed: bool, white: bool) -> tuple[bytes, bytes]:
    """Colors and opacities of the levels."""
    if signed:
        level = np.linspace(-1, 1, 15)[:, None]
        color = np.where(level > 0, np.array(FOR), np.array(AGAINST)) / 255
        alpha = (1.0 if white else SIGNED) * np.abs(level[:, 0]) ** 0.7
        if white:
            color, alpha = 1 - alpha[:, None] * (1 - color), np.ones(15)
    else:
        from matplotlib import colormaps

        level = np.linspace(0, 1, LEVELS)
        color, alpha = colormaps["inferno"](0.15 + 0.8 * level)[:, :3], HEAT * level**1.5
    return (color * 255).round().astype(np.uint8).tobytes(), (alpha * 255).round().astype(np.uint8).tobytes()


def _palette_png(levels: np.ndarray, *, signed: bool, white: bool = False) -> str:
    colors, opacities = _palette(signed, white)
    image = Image.fromarray(levels, "P")
    image.putpalette(colors)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", bits=4, optimize=False, **({} if white else {"transparency": opacities}))
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
