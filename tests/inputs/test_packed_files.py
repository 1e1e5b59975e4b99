"""Packed files that inflate are refused by everything that reads packed files; others are read."""

import gzip
import lzma

import pandas as pd
import pytest

import zoo
from zoo.data.sequences._bio_file import read_bio
from zoo.inputs import packed_files
from zoo.inputs.tables.table_reader import read_table
from zoo.inputs.texts import text_files
from zoo.inputs.texts.text_files import read_texts

SIZE = 1 << 21


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """At a scale of 1 to 1000."""
    monkeypatch.setattr(packed_files, "MIN_BOMB", 1 << 18)


def text_source(path):
    return zoo.create_data("text", file=str(path), context=4, test=0.3, val=0.2).class_names


READERS = {
    "table.csv": (b"a,b\n", b"1,2\n", lambda path: list(read_table(path).columns["a"][:2])),
    "texts.jsonl": (b"", b'{"text": "a"}\n', lambda path: [piece.texts[:2] for piece in read_texts(path)][:1]),
    "lines.txt": (b"", b"ab\n", lambda path: [piece.texts[:2] for piece in read_texts(path)][:1]),
    "text.txt": (b"", b"ab\n", text_source),
    "words.bio": (b"", b"word O\n\n", lambda path: [sentence.words for sentence in read_bio(path)[:2]]),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_inflation(name, suffix, tmp_path):
    head, line, reader = READERS[name]
    if name == "text.txt" and suffix == ".xz":
        pytest.skip("a text is .txt or .txt.gz")
    pack = gzip.compress if suffix == ".gz" else lzma.compress
    plain = tmp_path / name
    plain.write_bytes(head + line * 40)
    packed = tmp_path / f"{name}{suffix}"
    packed.write_bytes(pack(plain.read_bytes()))
    assert reader(packed) == reader(plain)
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(ValueError, match=rf"{name}.*damaged"):
        reader(packed)
    packed.write_bytes(pack(head + line * (SIZE // len(line))))
    with pytest.raises(ValueError, match=rf"{name}.* bytes and inflates to .* or more; unpack it"):
        reader(packed)


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": [1] * SIZE}).to_parquet(path)
    with pytest.raises(ValueError, match="t.parquet has .* inflates to 16777216 or more"):
        read_table(path)
    pd.DataFrame({"a": range(SIZE // 8)}).to_parquet(path)
    assert len(read_table(path)) == SIZE // 8


def test_a_text_of_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "MAX_LINE", 100)
    path = tmp_path / "t.txt"
    path.write_text("short\n" + "x" * 200)
    with pytest.raises(ValueError, match="line 2: longer than 100 characters; give one text a line"):
        list(read_texts(path))
    path.write_text("x" * 99 + "\n" + "y" * 98)
    assert [piece.texts for piece in read_texts(path)] == [("x" * 99, "y" * 98)]
