import gzip
import lzma
import pickle

import numpy as np
import pytest

from zoo.data.file_readers import read_lines, read_npz
from zoo.inputs import packed_files


@pytest.fixture
def file(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.arange(1000), y=np.arange(3))
    return tmp_path / "a.npz"


def test_arrays_by_name(file):
    y, x = read_npz(file, "y", "x")
    assert (x.tolist(), y.tolist()) == (list(range(1000)), [0, 1, 2])
    with pytest.raises(ValueError, match="a.npz has no array 'z'"):
        read_npz(file, "x", "z")


def error_of(file):
    try:
        assert read_npz(file, "x")[0].tolist() == list(range(1000))
    except ValueError as error:
        return str(error)
    return ""


def test_every_damage_names_the_file(file):
    whole, rng = file.read_bytes(), np.random.default_rng(0)
    np.save(file.with_name("b.npy"), np.arange(3))
    damaged = [b"", b"no zip", whole[:-30], whole[:100], pickle.dumps({"x": 1}), file.with_name("b.npy").read_bytes()]
    for content in damaged:
        file.write_bytes(content)
        with pytest.raises(ValueError, match="a.npz is damaged"):
            read_npz(file, "x")
    for place in rng.integers(0, len(whole), 300):  # one wrong byte: refused by name, or harmless
        content = bytearray(whole)
        content[place] ^= 0x55
        file.write_bytes(content)
        assert error_of(file) == "" or str(file) in error_of(file)


def test_pickled_objects_are_refused(file):
    np.savez(file, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="a.npz is damaged .*Object arrays cannot be loaded"):
        read_npz(file, "x")


def test_packed_files_that_inflate(tmp_path, monkeypatch):
    """2 GB of zeros in 2 MB, at a scale of 1 to 1000."""
    monkeypatch.setattr(packed_files, "MIN_BOMB", 1 << 18)
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros(1 << 21, np.uint8))
    assert (tmp_path / "bomb.npz").stat().st_size < 3000
    with pytest.raises(ValueError, match="bomb.npz has .* bytes and inflates to 2097.* or more; unpack it"):
        read_npz(tmp_path / "bomb.npz", "x")
    for suffix, packed in ((".gz", gzip.compress), (".xz", lzma.compress)):
        bomb = tmp_path / f"bomb.txt{suffix}"
        bomb.write_bytes(packed(b"\0" * (1 << 21)))
        with pytest.raises(ValueError, match="bomb.txt.* inflates"):
            list(read_lines(bomb))
        text = tmp_path / f"text{suffix}"
        text.write_bytes(packed("naïve\nsecond line\n".encode("utf-8-sig")))
        assert list(read_lines(text)) == ["naïve\n", "second line\n"]
        text.write_bytes(text.read_bytes()[:-9])
        with pytest.raises(ValueError, match="is damaged"):
            list(read_lines(text))
    rng = np.random.default_rng(0)
    np.savez_compressed(tmp_path / "fine.npz", x=rng.integers(0, 4, 1 << 21, np.uint8))
    assert read_npz(tmp_path / "fine.npz", "x")[0].shape == (1 << 21,)
