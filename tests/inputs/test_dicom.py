"""DICOM files: the pixels that their window, slope and photometric interpretation mean."""

import numpy as np
import pytest

from zoo.inputs.images.picture import read_picture, upright_size

pydicom = pytest.importorskip("pydicom")

STORED = (np.arange(20 * 30).reshape(20, 30) * 6).astype(np.uint16)  # 0 to 3594


def dicom(path, stored=STORED, *, bits=12, kind="MONOCHROME2", signed=False, **more):
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    frame = stored if "NumberOfFrames" not in more else stored[0]
    data.Rows, data.Columns = frame.shape[:2]
    data.SamplesPerPixel = 1 if frame.ndim == 2 else 3
    if frame.ndim == 3:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation = kind
    data.BitsAllocated = stored.dtype.itemsize * 8
    data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits - 1, int(signed)
    for name, value in more.items():
        setattr(data, name, value)
    data.PixelData = stored.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


def linear(values, center, width):
    """The formula of DICOM PS3.3 C.11.2.1.2.1, one value at a time."""
    out = []
    for x in np.asarray(values, float).ravel():
        if x <= center - 0.5 - (width - 1) / 2:
            y = 0.0
        elif x > center - 0.5 + (width - 1) / 2:
            y = 255.0
        else:
            y = ((x - (center - 0.5)) / (width - 1) + 0.5) * 255
        out.append(y)
    return np.array(out).reshape(np.shape(values))


def close(pixels, expected):
    assert pixels.dtype == np.uint8
    assert np.abs(pixels - expected).max() <= 0.51


def test_without_a_window_the_stored_bits_are_the_range(tmp_path):
    close(read_picture(dicom(tmp_path / "a.dcm")), STORED / 4095 * 255)
    assert upright_size(tmp_path / "a.dcm") == (30, 20)


def test_window_and_slope(tmp_path):
    path = dicom(tmp_path / "a", WindowCenter=40, WindowWidth=400, RescaleSlope=2, RescaleIntercept=-1024)
    close(read_picture(path), linear(STORED * 2.0 - 1024, 40, 400))
    path = dicom(tmp_path / "b.dcm", WindowCenter=[1000, 40], WindowWidth=[2000, 400])
    close(read_picture(path), linear(STORED, 1000, 2000))


def test_other_functions_of_the_window(tmp_path):
    path = dicom(tmp_path / "a.dcm", WindowCenter=1000, WindowWidth=500, VOILUTFunction="SIGMOID")
    close(read_picture(path), 255 / (1 + np.exp(-4 * (STORED - 1000.0) / 500)))
    path = dicom(tmp_path / "b.dcm", WindowCenter=1000, WindowWidth=500, VOILUTFunction="LINEAR_EXACT")
    close(read_picture(path), (((STORED - 1000.0) / 500 + 0.5) * 255).clip(0, 255))


def test_signed_values(tmp_path):
    signed = STORED.astype(np.int16) - 1024
    close(read_picture(dicom(tmp_path / "a.dcm", signed, bits=16, signed=True)), (signed + 32768.0) / 65535 * 255)
    path = dicom(tmp_path / "b.dcm", signed, bits=16, signed=True, WindowCenter=0, WindowWidth=1000)
    close(read_picture(path), linear(signed, 0, 1000))


def test_inverted_gray(tmp_path):
    plain = read_picture(dicom(tmp_path / "a.dcm", WindowCenter=1000, WindowWidth=2000))
    inverted = read_picture(dicom(tmp_path / "b.dcm", kind="MONOCHROME1", WindowCenter=1000, WindowWidth=2000))
    assert np.abs(inverted.astype(int) - (255 - plain.astype(int))).max() <= 1
    assert inverted[0, 0] == 255


def test_color(tmp_path):
    color = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    assert np.array_equal(read_picture(dicom(tmp_path / "a.dcm", color, bits=8, kind="RGB")), color)


def test_several_frames_are_refused(tmp_path):
    path = dicom(tmp_path / "a.dcm", np.stack([STORED, STORED]), NumberOfFrames=2)
    with pytest.raises(ValueError, match="a.dcm cannot be read as DICOM: it has 2 frames; save the one that is meant"):
        read_picture(path)


def test_damaged(tmp_path):
    path = dicom(tmp_path / "a.dcm")
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(ValueError, match="a.dcm cannot be read as DICOM"):
        read_picture(path)
    path.write_bytes(content[:140])
    with pytest.raises(ValueError, match="a.dcm cannot be read as DICOM"):
        read_picture(path)


def test_a_huge_header_is_refused_before_pixels_are_decoded(tmp_path):
    path = dicom(tmp_path / "a.dcm", Rows=60000, Columns=60000)
    with pytest.raises(ValueError, match="60000 x 60000 pixels; expected at most"):
        read_picture(path)
