"""Tables as text: lines, encodings, separators, typed sources; faults are named with their line."""

import gzip
import os

import numpy as np
import pandas as pd
import pytest

from zoo.inputs.tables.cells import no_column
from zoo.inputs.tables.table_reader import read_cells, read_table


def write(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def one(raw, **arguments):
    return read_table(raw, **arguments)


def test_physical_lines(tmp_path):
    path = write(tmp_path, '\na,b\n1,"x\ny"\n\n , \n2,z\r\n"3\n\n",w')
    cells = one(path)
    assert cells.lines.tolist() == [3, 7, 8]
    assert cells.columns["a"].tolist() == ["1", "2", "3"]
    assert cells.columns["b"].tolist() == ["x\ny", "z", "w"]
    assert cells.at(1, "b") == f"{path}, line 7, column 'b'"


def test_chunks_are_one_table(tmp_path):
    path = write(tmp_path, "a\n" + "\n".join(map(str, range(10))))
    pieces = list(read_cells(path, chunk=4))
    assert [len(piece) for piece in pieces] == [4, 4, 2]
    assert one(path, chunk=3).columns["a"].tolist() == list(map(str, range(10)))
    assert one(path, chunk=3).lines.tolist() == list(range(2, 12))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n3\n", "line 3: 1 cells where the header has 2"),
        ("a,b\n1,2\n3,4,5\n", "line 3: 3 cells where the header has 2"),
        ('a,b\n1,2\n3,"x\n4,5\n', "line 3: .*a quote may not be closed"),
        ("a,b,a\n1,2,3\n", "line 1: column 'a' occurs twice, at 1 and 3"),
        ("a,\n1,2\n", "line 1: column 2 has no name"),
        ("a,b\n", "has a header but no rows"),
        ("", "is empty"),
        ("a;b\n1;2\n", "line 1: cells are separated by ';'; save the file with commas, or declare data.separator=';'"),
        ("a\tb\n1\t2\n", r"cells are separated by tab; save the file with commas, or declare data.separator='\\t'"),
        ("a,b\n1,\0\n", "line 2: a NUL character"),
        (b"a,b\n1,2\nx,\xe9\n", "line 3: not utf-8 text .*declare data.encoding, such as latin-1"),
        ("a,b\n1,é\n".encode("utf-16"), "is UTF-16 text; save it as CSV UTF-8, or declare data.encoding=utf-16"),
        ("a,b\n1,é\n".encode("utf-16-le"), "NUL character; if this is UTF-16"),
        (b"PK\x03\x04rest", "ZIP or Excel file; save the sheet as CSV"),
        (b"\x1f\x8b\x08\x00bad", "damaged"),
    ],
)
def test_faults(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        list(read_cells(write(tmp_path, content)))


def test_declared_encodings_and_separators(tmp_path):
    text = "näme;b\nMüller;1\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"):
        declared = "utf-8" if encoding == "utf-8-sig" else encoding
        cells = one(write(tmp_path, text.encode(encoding)), separator=";", encoding=declared)
        assert list(cells.columns) == ["näme", "b"]
        assert cells.columns["näme"].tolist() == ["Müller"]
    assert list(one(write(tmp_path, "a\tb\n1\t2\n", "t.tsv")).columns) == ["a", "b"]
    packed = write(tmp_path, gzip.compress(b"a,b\n1,2\n"), "t.csv.gz")
    assert one(packed).columns["b"].tolist() == ["2"]
    for separator in (", ", "{}", "\n", 3):
        with pytest.raises(ValueError, match="t.csv.gz: the separator is .*; expected one character"):
            one(packed, separator=separator)
    with pytest.raises(ValueError, match="data.encoding is 'utf-9'"):
        one(packed, encoding="utf-9")


def test_skipped_lines_are_listed(tmp_path):
    cells = one(write(tmp_path, "a,b\n1,2\n3\n4,5\n"), skip=True)
    assert cells.columns["a"].tolist() == ["1", "4"]
    assert [(flag.row, flag.message) for flag in cells.skipped] == [("line 3", "1 cells where the header has 2")]


def test_header_in_unicode_form(tmp_path):
    assert list(one(write(tmp_path, "Cafe\u0301\n1\n")).columns) == ["Caf\u00e9"]


def test_a_pipe_or_a_folder_is_refused_at_once(tmp_path):
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match="is a named pipe; expected a regular file"):
        list(read_cells(pipe))
    with pytest.raises(ValueError, match="has no table; expected files that end in"):
        list(read_cells(tmp_path))
    with pytest.raises(ValueError, match="is missing; it was given as data.file"):
        list(read_cells(tmp_path / "no.csv", argument="data.file"))
    with pytest.raises(ValueError, match="is a device"):
        list(read_cells("/dev/zero"))


def test_typed_sources():
    frame = pd.DataFrame(
        {
            "n": [1.5, np.nan],
            "i": [1, 2],
            "b": [True, False],
            "t": ["x ", None],
            "d": pd.to_datetime(["2020-01-02", None]),
            "c": pd.Categorical(["u", "v"]),
            "f": [1.0, 2.0],
            "I": pd.array([3, None], "Int64"),
        }
    )
    cells = one(frame)
    assert cells.word == "row"
    assert cells.lines.tolist() == [1, 2]
    np.testing.assert_array_equal(cells.columns["n"], [1.5, np.nan])
    np.testing.assert_array_equal(cells.columns["I"], [3, np.nan])
    assert cells.columns["b"].tolist() == ["True", "False"]
    assert cells.columns["t"].tolist() == ["x", None]
    assert cells.columns["d"].tolist() == ["2020-01-02", None]
    assert cells.columns["c"].tolist() == ["u", "v"]
    assert cells.columns["f"].dtype == float


def test_mappings():
    assert one({"a": 1, "b": "x"}).columns["b"].tolist() == ["x"]
    assert one({"a": [1, 2]}).columns["a"].tolist() == [1, 2]
    assert one([{"a": 1}, {"a": 2}]).columns["a"].tolist() == [1, 2]
    for wrong in ([], 3, None, ["a"]):
        with pytest.raises(ValueError, match="expected a path, a DataFrame"):
            one(wrong)
    with pytest.raises(ValueError, match="has no rows"):
        one(pd.DataFrame({"a": []}))
    with pytest.raises(ValueError, match="occurs twice"):
        one(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_words_of_yaml_are_explained():
    cure = """: YAML reads an unquoted NO as False; quote it, as in '["NO"]'"""
    assert no_column(False, ["NO", "NO2"]) == no_column("False", ["NO", "NO2"]) == cure
    assert "an unquoted 1e3 as 1000.0" in no_column("1000.0", ["1e3"])
    assert "an unquoted on as True" in no_column("True", ["on"])
    assert no_column("agee", ["age"]) == ", did you mean age?"


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"n": [1.5, None, 2.0], "t": ["x", None, "z"], "b": [True, False, True]})
    frame.to_parquet(tmp_path / "t.parquet")
    cells = one(tmp_path / "t.parquet", chunk=2)
    np.testing.assert_array_equal(cells.columns["n"], [1.5, np.nan, 2])
    assert cells.columns["t"].tolist() == ["x", None, "z"]
    assert cells.lines.tolist() == [1, 2, 3]
    assert [len(piece) for piece in read_cells(tmp_path / "t.parquet", chunk=2)] == [2, 1]
    (tmp_path / "bad.parquet").write_bytes(b"x")
    with pytest.raises(ValueError, match="bad.parquet cannot be read as Parquet"):
        one(tmp_path / "bad.parquet")
