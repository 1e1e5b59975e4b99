"""The training sample or the template of a unit, as a record and as a picture."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup
from PIL import Image
from torch import Tensor

from zoo.reporting import heatmap
from zoo.reporting.album import Album

GAP = 12  # pixels between the two pictures


@dataclass(frozen=True)
class Source:
    """The training sample that a unit was taken from, or its template.

    Attributes:
        picture: ``(3, s, s)`` in 0..1, before normalization; or ``(h, w)``, a signed template.
        box: the patch that the unit was taken from, half-open pixels ``(x0, y0, x1, y1)``; None for the whole picture.
        caption: a few words, such as ``training picture 812, a seven``.
    """

    picture: Tensor
    box: heatmap.Box | None
    caption: str

    @property
    def is_template(self) -> bool:
        """Whether this is a template of the unit, and no training sample."""
        return self.picture.ndim == 2

    def cutout(self) -> Image.Image | None:
        """Return the patch alone; None if the unit came from a whole picture."""
        if self.box is None:
            return None
        crisp = max(self.picture.shape[-2:]) <= heatmap.CRISP
        return heatmap.image(heatmap.crop(self.picture, self.box), crisp=crisp)

    def whole(self) -> Image.Image:
        """Return the training picture with the patch framed; a template in two colors."""
        if self.is_template:
            return heatmap.signed(self.picture)
        return heatmap.image(self.picture, frame=self.box)


def small_picture(album: Album, source: Source | None, name: str) -> Markup | None:
    """Return the drawing of a unit for a table: its training picture with the patch framed, or its template.

    None for a unit without a picture.
    """
    return None if source is None else album.picture(source.picture, name, frame=source.box)


def unit_picture(source: Source) -> Image.Image:
    """Return one picture of a unit: the framed training picture and, beside it, the patch."""
    whole = source.whole()
    patch = source.cutout()
    if patch is None:
        return whole
    patch.thumbnail((whole.width, whole.height), Image.Resampling.NEAREST)
    canvas = Image.new("RGBA", (whole.width + GAP + patch.width, whole.height), (0, 0, 0, 0))
    canvas.paste(whole, (0, 0))
    canvas.paste(patch, (whole.width + GAP, (whole.height - patch.height) // 2))
    return canvas
