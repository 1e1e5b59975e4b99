import pickle

import numpy as np
import pytest

from zoo.data.files import read_npz


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
