"""One reader of pictures: the right pixels for every mode, or one clear line; oracles are written from PIL alone."""

import io
import os
import struct
import threading
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from zoo.data.images._pixel_sources import Pictures
from zoo.inputs.image import ImageInputs
from zoo.inputs.images.picture import extensions, orientation_of, read_picture, upright_points, upright_size

GRAY = (np.arange(40 * 60).reshape(40, 60) * 7 % 256).astype(np.uint8)
COLOR = np.stack([GRAY, GRAY[::-1], GRAY[:, ::-1]], 2)


def saved(tmp_path, image, name="p.png", **options):
    path = tmp_path / name
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def test_the_same_picture_in_8_and_16_bits_and_floats(cases):
    plain = read_picture(cases / "images" / "L8.png")
    assert plain.dtype == np.uint8
    assert plain.shape == (40, 60)
    for name in ("I16.png", "F01.tif"):
        pixels = read_picture(cases / "images" / name)
        assert np.abs(pixels.astype(int) - plain).max() <= 1, name  # the 8-bit one was rounded down


def test_hidden_colors_do_not_show(cases):
    black, white = (read_picture(cases / "images" / f"RGBA_hidden_{color}.png") for color in ("black", "white"))
    assert np.array_equal(black, white)
    rgba = np.asarray(Image.open(cases / "images" / "RGBA_hidden_black.png")).astype(float)
    for background in ((255, 255, 255), (0, 0, 0), (10, 200, 30)):
        pixels = read_picture(cases / "images" / "RGBA_hidden_black.png", background=background)
        alpha = rgba[..., 3:] / 255
        expected = rgba[..., :3] * alpha + np.array(background) * (1 - alpha)
        assert np.abs(pixels - expected).max() <= 0.51


def test_orientation_of_a_file(cases):
    path = cases / "images" / "exif6.jpg"
    pixels = read_picture(path)
    assert pixels.shape == (60, 40, 3)
    assert np.array_equal(pixels, np.rot90(np.asarray(Image.open(path)), -1))
    assert upright_size(path) == (40, 60)
    assert orientation_of(path) == 6


@pytest.mark.parametrize("tag", range(1, 9))
def test_every_orientation_of_picture_and_keypoints(tmp_path, tag):
    stored = np.zeros((40, 60), np.uint8)
    stored[7, 50] = 255
    exif = Image.Exif()
    exif[0x0112] = tag
    path = saved(tmp_path, stored, exif=exif)
    pixels = read_picture(path)
    assert upright_size(path) == pixels.shape[::-1]
    (row, column), *others = np.argwhere(pixels == 255).tolist()
    assert not others
    center = upright_points(np.array([50.5, 7.5]), (60, 40), tag)  # the middle of the white pixel
    assert center.tolist() == [column + 0.5, row + 0.5]
    assert np.array_equal(pixels, np.asarray(ImageOps.exif_transpose(Image.open(path))))


def test_keypoints_that_people_see(cases):
    """Every portrait of the folder is 80 x 120 as people see it, with the beak at (60, 20) drawn in one color."""
    for folder in "ab":
        for i in range(10):
            path = cases / "exif" / "ex" / folder / f"{i}.jpg"
            pixels = read_picture(path)
            assert pixels.shape == (120, 80, 3)
            assert upright_size(path) == (80, 120)
            first = read_picture(cases / "exif" / "ex" / folder / "0.jpg")
            patch, expected = (p[15:25, 55:65].astype(int).mean((0, 1)) for p in (pixels, first))
            assert np.abs(patch - expected).max() < 12


def test_wrong_orientation():
    with pytest.raises(ValueError, match="EXIF orientation is 9; expected 1 to 8"):
        upright_points(np.zeros(2), (1, 1), 9)


def test_modes(tmp_path):
    color = Image.fromarray(COLOR)
    assert np.array_equal(read_picture(saved(tmp_path, COLOR)), COLOR)
    assert np.array_equal(read_picture(saved(tmp_path, GRAY)), GRAY)
    bits = Image.fromarray(GRAY > 100)
    assert np.array_equal(read_picture(saved(tmp_path, bits)), (GRAY > 100) * np.uint8(255))
    palette = color.quantize(16)
    assert np.array_equal(read_picture(saved(tmp_path, palette)), np.asarray(palette.convert("RGB")))
    cmyk = color.convert("CMYK")
    assert np.array_equal(read_picture(saved(tmp_path, cmyk, "c.tif")), np.asarray(cmyk.convert("RGB")))
    ycbcr = read_picture(saved(tmp_path, color.convert("YCbCr"), "y.jpg", quality=100, subsampling=0))
    assert np.abs(ycbcr.astype(int) - COLOR).mean() < 3
    la = Image.merge("LA", [Image.fromarray(GRAY), Image.fromarray(np.full_like(GRAY, 128))])
    expected = (GRAY.astype(int) * 128 + 255 * 127 + 127) // 255
    assert np.array_equal(read_picture(saved(tmp_path, la)), expected)
    with pytest.raises(ValueError, match="color space LAB"):
        read_picture(Image.new("LAB", (4, 4)))


def test_transparent_palette_and_color_key(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    path = saved(tmp_path, palette, transparency=0)
    assert read_picture(path).tolist() == [[[255, 255, 255], [200, 100, 50]]]
    path = saved(tmp_path, Image.fromarray(np.array([[7, 9]], np.uint8)), transparency=7)
    assert read_picture(path, background=(0, 0, 0)).tolist() == [[0, 9]]


def test_16_bits_by_the_range_of_their_type(tmp_path):
    wide = GRAY.astype(np.uint16) * 257
    assert np.array_equal(read_picture(saved(tmp_path, wide)), GRAY)
    assert np.array_equal(read_picture(saved(tmp_path, wide, "w.tif")), GRAY)
    assert np.array_equal(read_picture(wide), GRAY)
    for dark in (GRAY.astype(np.uint16), GRAY.astype(np.uint16) * 16):  # 8 or 12 bits in 16
        with pytest.raises(ValueError, match=r"of 16 bits and its largest value is \d+: .*declare data.value_range"):
            read_picture(saved(tmp_path, dark))
    assert np.array_equal(read_picture(GRAY.astype(np.uint16), value_range=(0, 255)), GRAY)
    assert read_picture(np.zeros((2, 2), np.uint16)).max() == 0
    pgm = tmp_path / "p.pgm"
    pgm.write_bytes(b"P5\n60 40\n65535\n" + wide.astype(">u2").tobytes())
    assert np.array_equal(read_picture(pgm), GRAY)


def test_floats_and_integers(tmp_path):
    share = (GRAY / 255).astype(np.float32)
    assert np.array_equal(read_picture(saved(tmp_path, share, "f.tif")), GRAY)
    assert np.array_equal(read_picture(share.astype(np.float64)), GRAY)
    with pytest.raises(ValueError, match="has floats from 0 to 255; expected 0 to 1, or declare"):
        read_picture(GRAY.astype(np.float32))
    with pytest.raises(ValueError, match="has floats from -0.5 to 0.5"):
        read_picture(saved(tmp_path, share - 0.5, "f.tif"))
    assert np.array_equal(read_picture(GRAY.astype(np.float32), value_range=(0, 255)), GRAY)
    with pytest.raises(ValueError, match="not finite"):
        read_picture(np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match="32-bit integers from 0 to 255000, .*declare"):
        read_picture(saved(tmp_path, Image.fromarray(GRAY.astype(np.int32) * 1000), "i.tif"))
    with pytest.raises(ValueError, match="array of int64; expected uint8, uint16, or floats"):
        read_picture(GRAY.astype(np.int64))


def test_arrays_and_tensors():
    assert np.array_equal(read_picture(COLOR), COLOR)
    assert np.array_equal(read_picture(torch.from_numpy(COLOR).permute(2, 0, 1)), COLOR)
    assert np.array_equal(read_picture(torch.from_numpy(GRAY)[None]), GRAY)
    assert np.array_equal(read_picture(np.moveaxis(COLOR, 2, 0)), COLOR)
    assert np.array_equal(read_picture(COLOR[:3, :3]), COLOR[:3, :3])  # channels last where both could be
    assert np.array_equal(read_picture(torch.from_numpy(COLOR[:3, :3])), np.moveaxis(COLOR[:3, :3], 0, 2))
    assert np.array_equal(read_picture(GRAY > 3), (GRAY > 3) * np.uint8(255))
    assert np.array_equal(read_picture(Image.fromarray(COLOR)), COLOR)
    for wrong, message in (
        (np.zeros((2, 3, 4, 4), np.uint8), "is several; give a list of pictures"),
        (np.zeros((5, 4, 2), np.uint8), "expected .h, w. or"),
        (np.zeros(4, np.uint8), "expected .h, w. or"),
        (np.zeros((0, 4), np.uint8), "expected 1 to"),
        (3, "a picture is given as int"),
    ):
        with pytest.raises(ValueError, match=message):
            read_picture(wrong)


def bomb(width, height):
    """A PNG whose header names this size."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(20_000, 20_000), (100_001, 1000), (1_000_000, 1_000_000)])
def test_bombs_are_refused(tmp_path, size):
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(*size))
    with pytest.raises(ValueError, match="pixels; expected at most 89478485, make it smaller"):
        read_picture(path)


def test_a_tile_larger_than_any_picture_is_refused(tmp_path):
    """A TIFF file of 16 x 16 pixels in one tile of 32768 x 32768, 1 GiB when it is unpacked."""
    packed = zlib.compress(b"\0" * (1 << 20))
    tags = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1, 322: 1 << 15, 323: 1 << 15, 325: len(packed)}
    start = 8 + 2 + 12 * (len(tags) + 1) + 4
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted((tags | {324: start}).items())]
    header = b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + struct.pack("<I", 0)
    (tmp_path / "tile.tif").write_bytes(header + packed)
    with pytest.raises(ValueError, match="tile.tif has tiles of 32768 x 32768 pixels; expected at most 89478485"):
        read_picture(tmp_path / "tile.tif")


def test_several_pages_are_refused(tmp_path):
    frames = [Image.fromarray(COLOR), Image.fromarray(COLOR[::-1].copy())]
    for name in ("a.gif", "a.tif", "a.webp", "a.png"):
        path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:])
        with pytest.raises(ValueError, match="has 2 pages or frames; save the one that is meant"):
            read_picture(path)
    assert read_picture(saved(tmp_path, frames[0], "one.gif")).shape == (40, 60, 3)
    mpo = saved(tmp_path, frames[0], "m.jpg", format="MPO", save_all=True, append_images=frames[1:])
    assert read_picture(mpo).shape == (40, 60, 3)  # a camera's picture and its preview


def test_damaged_files(tmp_path):
    whole = io.BytesIO()
    Image.fromarray(COLOR).save(whole, "JPEG")
    for name, content in {
        "short.jpg": whole.getvalue()[: len(whole.getvalue()) // 2],
        "empty.jpg": b"",
        "text.png": b"no picture",
        "eps.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name} cannot be read as a picture") as error:
            read_picture(tmp_path / name)
        assert "\n" not in str(error.value)


def picture_or_error(path):
    try:
        return read_picture(path)
    except ValueError as error:
        return str(error)


def test_flipped_bytes_give_a_picture_or_one_line(tmp_path):
    rng = np.random.default_rng(0)
    survived = 0
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        buffer = io.BytesIO()
        Image.fromarray(COLOR).save(buffer, kind)
        for _ in range(40):
            content = bytearray(buffer.getvalue())
            for place in rng.integers(0, min(len(content), 400), 3):
                content[place] = rng.integers(256)
            path = tmp_path / "p"
            path.write_bytes(content)
            outcome = picture_or_error(path)
            if isinstance(outcome, str):
                assert "\n" not in outcome
            else:
                assert outcome.dtype == np.uint8
                survived += 1
    assert survived > 0


def test_no_regular_file(tmp_path):
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    outcome = []

    def read():
        try:
            read_picture(pipe)
        except ValueError as error:
            outcome.append(str(error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(5)
    assert outcome
    assert "is a named pipe; expected a regular file" in outcome[0]
    with pytest.raises(ValueError, match="is missing"):
        read_picture(tmp_path / "no.jpg")
    with pytest.raises(ValueError, match="is a folder"):
        read_picture(tmp_path)
    with pytest.raises(ValueError, match="is a device"):
        read_picture("/dev/null")
    with pytest.raises(ValueError, match="cannot be read"):
        read_picture("a\0b.jpg")


def test_extensions():
    assert {".jpg", ".jpeg", ".jfif", ".png", ".tif", ".webp", ".bmp", ".gif", ".pgm", ".avif", ".dcm"} <= extensions()
    assert not {".eps", ".pdf", ".txt", ".csv", ""} & extensions()


def photograph(width, height):
    """Smooth shading with edges and some noise."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    pixels[height // 3 : height // 2, width // 4 : width // 2] = (200, 40, 90)
    return Image.fromarray((pixels + rng.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8))


def resized(pixels, side):
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR)).astype(int)


def test_a_large_jpeg_file_is_decoded_smaller(tmp_path):
    side = 96
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path, photograph(1000, 800), "p.jpg", quality=90, exif=exif)
    whole, small = read_picture(path), read_picture(path, side=side)
    assert whole.shape == (1000, 800, 3)
    assert small.shape == (250, 200, 3)  # a quarter, which has 2 x 96 pixels a side; upright
    difference = np.abs(resized(whole, side) - resized(small, side))
    assert difference.mean() < 1
    assert difference.max() <= 12
    assert np.array_equal(read_picture(path, side=201), read_picture(path, side=400))  # the half has too few
    assert np.array_equal(read_picture(path, side=400), whole)


def test_other_files_are_decoded_whole(tmp_path):
    path = saved(tmp_path, photograph(300, 300), "p.png")
    assert np.array_equal(read_picture(path, side=10), read_picture(path))


def test_training_and_prediction_read_the_same_pixels(tmp_path):
    path = saved(tmp_path, photograph(700, 500), "p.jpg")
    pixels = Pictures([str(path)], 56)(0)
    assert np.array_equal(ImageInputs(size=56, class_names=["a"]).pixels(path), pixels)
    assert not np.array_equal(pixels, resized(read_picture(path), 56))
