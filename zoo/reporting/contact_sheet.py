"""All unit pictures of a checkpoint as one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

HEIGHT = 64  # pixels of a picture
LABEL = 14  # pixels of the line of text under it
GAP = 8  # pixels between pictures
WIDTH = 1200  # pixels of the sheet, at most
COLORS = 128  # of the palette


def contact_sheet(pictures: Mapping[int, Image.Image]) -> Image.Image | None:
    """Return one image with all pictures in rows, the unit id under each; None if there are no pictures.

    Args:
        pictures: by unit id.

    Example:
        >>> sheet = contact_sheet({0: Image.new("RGB", (128, 128)), 7: Image.new("RGB", (128, 128))})
        >>> sheet.size
        (152, 94)
    """
    if not pictures:
        return None
    tiles = {unit: _tile(pictures[unit]) for unit in sorted(pictures)}
    width = max(tile.width for tile in tiles.values())
    columns = min(len(tiles), max(1, (WIDTH - GAP) // (width + GAP)))
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (GAP + columns * (width + GAP), GAP + rows * (HEIGHT + LABEL + GAP)), "white")
    pen = ImageDraw.Draw(sheet)
    for n, (unit, tile) in enumerate(tiles.items()):
        x = GAP + n % columns * (width + GAP)
        y = GAP + n // columns * (HEIGHT + LABEL + GAP)
        sheet.paste(tile, (x, y))
        pen.text((x, y + HEIGHT + 1), str(unit), fill="black")
    return sheet.quantize(COLORS, dither=Image.Dither.NONE)


def read_contact_sheet(sheet: Image.Image, units: Sequence[int]) -> dict[int, Image.Image]:
    """Return the pictures of a sheet that ``contact_sheet`` made of these units; empty if it was made of others.

    Example:
        >>> sheet = contact_sheet({0: Image.new("RGB", (128, 128)), 7: Image.new("RGB", (128, 128), "red")})
        >>> read_contact_sheet(sheet.convert("RGB"), [0, 7])[7].getpixel((5, 5))
        (255, 0, 0)
    """
    for columns in range(1, len(units) + 1):
        width = (sheet.width - GAP) // columns - GAP
        rows = -(-len(units) // columns)
        size = (GAP + columns * (width + GAP), GAP + rows * (HEIGHT + LABEL + GAP))
        if size == sheet.size and columns == min(len(units), max(1, (WIDTH - GAP) // (width + GAP))):
            break
    else:
        return {}
    corners = [
        (GAP + n % columns * (width + GAP), GAP + n // columns * (HEIGHT + LABEL + GAP)) for n in range(len(units))
    ]
    return {
        unit: sheet.crop((x, y, x + width, y + HEIGHT)) for unit, (x, y) in zip(sorted(units), corners, strict=True)
    }


def _tile(picture: Image.Image) -> Image.Image:
    """Return a picture on white, ``HEIGHT`` pixels high."""
    rgba = picture.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    flat = Image.alpha_composite(white, rgba).convert("RGB")
    return flat.resize((max(1, round(flat.width * HEIGHT / flat.height)), HEIGHT), Image.Resampling.LANCZOS)
