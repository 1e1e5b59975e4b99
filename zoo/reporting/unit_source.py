"""Where a unit came from, as a record and as a picture."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from zoo.reporting import heatmap


@dataclass(frozen=True)
class Source:
    """The training sample that a unit came from, or the unit itself as a picture.

    Attributes:
        picture: ``(3, s, s)`` in 0..1, as the model saw it but not normalised; or ``(h, w)``, a signed portrait.
        box: the piece that became the unit, half-open pixels ``(x0, y0, x1, y1)``; None for the whole picture.
        caption: a few words, such as ``training picture 812, a seven``.
    """

    picture: Tensor
    box: heatmap.Box | None
    caption: str

    @property
    def portrait(self) -> bool:
        """Whether this is the unit itself, and no training sample."""
        return self.picture.ndim == 2

    def cutout(self) -> Image.Image | None:
        """The piece alone, None if the unit came from a whole picture."""
        if self.box is None:
            return None
        crisp = max(self.picture.shape[-2:]) <= heatmap.CRISP
        return heatmap.image(heatmap.crop(self.picture, self.box), crisp=crisp)

    def whole(self) -> Image.Image:
        """The training picture with the piece framed; a portrait in two colours."""
        if self.portrait:
            return heatmap.signed(self.picture)
        return heatmap.image(self.picture, frame=self.box)


def unit_picture(source: Source) -> Image.Image:
    """One picture of a unit for a checkpoint's ``units/``: the framed training picture and, beside it, the piece."""
    whole, piece, gap = source.whole(), source.cutout(), 12
    if piece is None:
        return whole
    piece.thumbnail((whole.width, whole.height), Image.Resampling.NEAREST)
    canvas = Image.new("RGBA", (whole.width + gap + piece.width, whole.height), (0, 0, 0, 0))
    canvas.paste(whole, (0, 0))
    canvas.paste(piece, (whole.width + gap, (whole.height - piece.height) // 2))
    return canvas
