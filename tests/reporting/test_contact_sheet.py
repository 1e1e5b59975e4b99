"""The contact sheet: every picture once, in order, on white."""

import numpy as np
from PIL import Image

from zoo.reporting.contact_sheet import GAP, HEIGHT, LABEL, WIDTH, contact_sheet


def test_pictures_are_in_rows_by_unit_id():
    colors = {7: (255, 0, 0), 2: (0, 0, 255), 40: (0, 255, 0)}
    sheet = contact_sheet({u: Image.new("RGB", (600, 100), c) for u, c in colors.items()})
    width = 6 * HEIGHT
    columns = (WIDTH - GAP) // (width + GAP)
    assert sheet.size == (GAP + columns * (width + GAP), GAP + -(-3 // columns) * (HEIGHT + LABEL + GAP))
    pixels = np.asarray(sheet.convert("RGB"))
    for n, unit in enumerate(sorted(colors)):
        x, y = GAP + n % columns * (width + GAP), GAP + n // columns * (HEIGHT + LABEL + GAP)
        assert tuple(pixels[y + HEIGHT // 2, x + width // 2]) == colors[unit]
        assert (pixels[y + HEIGHT : y + HEIGHT + LABEL, x : x + 12] < 128).any()  # its id
    assert (pixels[:GAP] == 255).all()


def test_clear_parts_are_white_and_nothing_is_no_sheet():
    assert contact_sheet({}) is None
    sheet = contact_sheet({0: Image.new("RGBA", (10, 10), (0, 0, 0, 0))})
    assert (np.asarray(sheet.convert("RGB"))[GAP : GAP + HEIGHT] == 255).all()
