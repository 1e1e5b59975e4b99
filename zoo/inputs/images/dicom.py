"""DICOM pictures through pydicom: rescale slope, window, inverted gray; several frames are refused."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

MAX_PIXELS = 89_478_485


def is_dicom(start: bytes) -> bool:
    """Return whether the first 132 bytes of a file are those of DICOM."""
    return start[128:132] == b"DICM"


def read_dicom(file: BinaryIO, where: str, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return a DICOM picture as it is meant to be seen, gray ``(h, w)`` or RGB ``(h, w, 3)`` uint8.

    Stored values become ``slope * value + intercept``, then the first window of the file maps them to gray (DICOM PS3.3
    C.11.2.1.2); without a window their whole range by the number of stored bits. MONOCHROME1 is inverted.

    Args:
        file: the open file.
        where: its name, for errors.
        max_pixels: of the picture.

    Raises:
        ValueError: if pydicom is not installed; or the file is damaged, compressed in a way that cannot be read, has no
            picture, several frames, or a lookup table in place of a window.
    """
    try:
        import pydicom
        from pydicom.errors import InvalidDicomError
        from pydicom.pixels import apply_color_lut, convert_color_space
    except ImportError as error:
        raise ValueError(f"{where}: DICOM needs the package pydicom: pip install 'zoo-interpretable[dicom]'") from error
    try:
        data = pydicom.dcmread(file)
        if "PixelData" not in data:
            raise ValueError("it has no picture")
        frames = int(data.get("NumberOfFrames") or 1)
        if frames > 1:
            raise ValueError(f"it has {frames} frames; save the one that is meant as a file of its own")
        if int(data.Rows) * int(data.Columns) > max_pixels:
            raise ValueError(f"it is {data.Columns} x {data.Rows} pixels; expected at most {max_pixels}")
        kind = str(data.PhotometricInterpretation)
        stored = data.pixel_array
        if kind == "PALETTE COLOR":
            colors = apply_color_lut(stored, data)
            return (colors >> 8).astype(np.uint8) if colors.dtype == np.uint16 else colors.astype(np.uint8)
        if kind.startswith("YBR") and stored.ndim == 3:
            return convert_color_space(stored, kind, "RGB").astype(np.uint8)
        if kind == "RGB":
            return stored if stored.dtype == np.uint8 else (stored >> (int(data.BitsStored) - 8)).astype(np.uint8)
        if not kind.startswith("MONOCHROME"):
            raise ValueError(
                f"its photometric interpretation is {kind}; expected MONOCHROME, RGB, YBR or PALETTE COLOR"
            )
        share = _gray(stored, data)
    except (
        InvalidDicomError,
        AttributeError,
        ValueError,
        RuntimeError,
        NotImplementedError,
        OSError,
        TypeError,
        KeyError,
        IndexError,
        EOFError,
        OverflowError,
        ImportError,
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{where} cannot be read as DICOM: {reason}") from error
    inverted = (kind == "MONOCHROME1") != (str(data.get("PresentationLUTShape", "IDENTITY")) == "INVERSE")
    return np.rint((1 - share if inverted else share) * 255).astype(np.uint8)


def _gray(stored: np.ndarray, data: Any) -> np.ndarray:
    """Stored values as a share of white, float64 from 0 to 1."""
    slope = float(data.get("RescaleSlope", 1) or 1)
    intercept = float(data.get("RescaleIntercept", 0) or 0)
    values = stored.astype(np.float64) * slope + intercept
    center, width = _first(data.get("WindowCenter")), _first(data.get("WindowWidth"))
    if center is None or width is None:
        if "VOILUTSequence" in data or "ModalityLUTSequence" in data:
            raise ValueError("it has a lookup table and no window; save it with a window, or as a PNG")
        bits, signed = int(data.BitsStored), int(data.get("PixelRepresentation", 0))
        ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        low, high = sorted(end * slope + intercept for end in ends)
        return ((values - low) / (high - low)).clip(0, 1)
    function = str(data.get("VOILUTFunction", "LINEAR") or "LINEAR")
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - center) / width))
    if function == "LINEAR_EXACT":
        return ((values - center) / width + 0.5).clip(0, 1)
    if width <= 1:
        return (values > center - 0.5).astype(np.float64)
    return ((values - (center - 0.5)) / (width - 1) + 0.5).clip(0, 1)


def _first(value: Any) -> float | None:
    """The first of one or several numbers; None where there is none."""
    if value is None or value == "":
        return None
    try:
        return float(value)
    except TypeError:  # several windows
        return float(value[0])
