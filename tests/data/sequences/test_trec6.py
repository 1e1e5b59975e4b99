"""Questions from files as the published ones are laid out."""

import gzip

import pytest
import torch

from zoo.data import create_data

ROWS = [("LOC", "Where is Rome ?"), ("NUM", "How far is 12 miles ?"), ("HUM", "Who is he ?"), ("LOC", "Where is it ?")]


@pytest.fixture
def root(tmp_path, monkeypatch):
    folder = tmp_path / "text" / "trec6"
    folder.mkdir(parents=True)
    every = [*ROWS, *((c, "What is it ?") for c in ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM") for _ in range(6))]
    for name, rows in (("train", every), ("test", [("LOC", 'Where is 1 "Paris" , the very long one ?')])):
        lines = ["label\tcoarse\tfine\ttext", *(f"0\t{c}\tx\t{t}" for c, t in rows)]
        (folder / f"{name}.tsv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    return folder


def test_questions(root):
    data = create_data("trec6", length=8, least=2)
    assert set(data.sequence.tokens) == {"<s>", "</s>", "<unk>", "where", "is", "?", "it", "what"}
    x, y = data.splits["test"].x, data.splits["test"].y
    assert [data.sequence.tokens[c] for c in x[0]] == ["<s>", "where", "is", "<unk>", "<unk>", "<unk>", "<unk>", "</s>"]
    assert data.class_names[int(y[0])] == "LOC"
    assert data.input_shape == (8,)
    assert len(data.splits["val"]) > 0
    where, is_ = data.sequence.codes["where"], data.sequence.codes["is"]
    assert torch.equal(data.read_input("Where is Rome"), torch.tensor([0, where, is_, 2, 1, -1, -1, -1]))


def test_wrong_files(root, tmp_path, monkeypatch):
    (root / "train.tsv.gz").write_bytes(gzip.compress(b"coarse\ttext\nLOC\tWhere ?\nWHAT\tWhat ?\n"))
    with pytest.raises(ValueError, match=r"train.tsv.gz, row 3: expected a class"):
        create_data("trec6").setup()
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="is missing"):
        create_data("trec6").setup()
    with pytest.raises(ValueError, match="data.length is 2"):
        create_data("trec6", length=2)
