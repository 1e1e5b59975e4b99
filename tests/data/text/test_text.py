"""A user's own text: windows, vocabularies, and every way in which a file can be wrong."""

import gzip
import sys

import numpy as np
import pytest
import torch

from zoo.config import check
from zoo.data import create_data
from zoo.inputs.texts.byte_pairs import BytePairs
from zoo.inputs.texts.tokenizers import Characters
from zoo.training.run import build, classes

TEXT = "".join(f"{i} times it rained, said the {'dog' if i % 3 else 'cat'}.\n" for i in range(400))


@pytest.fixture
def text(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "some.txt"
    file.write_text(TEXT)
    return file


def make(file, **args):
    return create_data("text", **{"file": str(file), "context": 16, "batch_size": 8, "test": 0.1} | args)


def decoded(data, x):
    return "".join(data.class_names[i] for i in x.tolist() if i >= 0)


def test_windows_are_the_text(text):
    data = make(text)
    n = len(TEXT)
    whole = {s: data.windows(s) for s in ("train", "val", "test")}
    ends = {"train": (0, int(n * 0.8)), "val": (int(n * 0.8), int(n * 0.9)), "test": (int(n * 0.9), n)}
    for name, windows in whole.items():
        first, last = ends[name]
        for i, row in enumerate(windows):
            assert decoded(data, row) == TEXT[first + 16 * i : first + 16 * i + 17]
        assert last - 17 - 16 < first + 16 * i + 1 <= last - 16
    batch = data.samples("test", range(16))
    every = data.samples("test", range(len(whole["test"])))
    lengths = torch.bincount((every.x >= 0).sum(1), minlength=17)[1:]
    assert lengths.max() - lengths.min() <= 1
    for i, (x, y) in enumerate(zip(batch.x, batch.y, strict=True)):
        result = decoded(data, x) + data.class_names[y]
        assert TEXT[ends["test"][0] + 16 * i :].startswith(result)
    assert data.class_names == tuple(sorted(set(TEXT)))


def test_windows_move_with_the_epoch(text):
    data = make(text)
    loader = data.train_dataloader()

    def windows(epoch):
        loader.batch_sampler.set_epoch(epoch)
        return {decoded(data, row) for batch in loader for row in batch.x}

    first, second = windows(0), windows(1)
    assert first != second
    assert first == windows(0)
    train = TEXT[: int(len(TEXT) * 0.8)]
    for batch in loader:
        for x, y in zip(batch.x, batch.y, strict=True):
            assert decoded(data, x) + data.class_names[y] in train


def test_tokens_are_mapped_from_disk_and_made_once(text, monkeypatch):
    data = make(text)
    assert isinstance(data._tokens, np.memmap)
    monkeypatch.setattr(Characters, "encode", None)
    again = make(text, vocabulary=data.resolved_args()["vocabulary"])
    assert torch.equal(again.windows("train"), data.windows("train"))
    assert again.fingerprint() == data.fingerprint()


def test_a_changed_file_is_read_anew(text):
    before = make(text).fingerprint()
    text.write_text(TEXT.replace("dog", "cow"))
    assert make(text).fingerprint() != before


def test_folders_and_gzip(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "texts"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text(TEXT[:5000])
    with gzip.open(folder / "sub" / "b.txt.gz", "wt") as file:
        file.write(TEXT[5000:])
    (folder / "c.md").write_text("§ is not read")
    data = make(folder)
    assert "".join(data.class_names[i] for i in data._tokens) == TEXT[:5000] + "\n" + TEXT[5000:]


def test_line_ends(tmp_path, monkeypatch, text):
    """Written on any system, cut anywhere, with or without a byte order mark: the same text."""
    plain = make(text)
    other = tmp_path / "other.txt"
    other.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    monkeypatch.setattr("zoo.data.text.text.CHUNK", 7)
    assert (make(other)._tokens == plain._tokens).all()


def test_relative_to_the_data_root(text, monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    assert make("some.txt").files == [text]


def test_the_vocabulary_of_a_run_stays(text, tmp_path):
    settled = make(text).resolved_args()
    other = tmp_path / "other.txt"
    other.write_text(TEXT.lower().replace("rained", "snowed"))
    assert make(other, **settled).class_names == tuple(sorted(set(TEXT)))
    other.write_text(TEXT + "naïve")
    with pytest.raises(ValueError, match=r"other.txt: character 'ï' \(place \d+\) is not in the vocabulary"):
        make(other, **settled).setup()


def test_prompts(text):
    data = make(text)
    assert decoded(data, data.read_input("the dog")) == "the dog"
    for prompt, words in (
        ("", "prompt is empty"),
        ("the d" * 4, "has 20 tokens; the model reads 16 at most"),
        ("THE", "the prompt: character 'T' .place 1. is not in the vocabulary"),
    ):
        with pytest.raises(ValueError, match=words):
            data.read_input(prompt)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "bad.txt is empty; expected text"),
        (b"abc", "bad.txt has 3 tokens: its train share is not longer than a context of 16"),
        (b"ab\xff" * 100, "bad.txt is not UTF-8 text"),
        (b"abc" * 100 + b"\xc3", "bad.txt is not UTF-8 text"),
    ],
)
def test_wrong_files(tmp_path, monkeypatch, content, words):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "bad.txt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        make(file).setup()
    leftover = tmp_path / "cache" / "zoo" / "tokens"
    assert not leftover.is_dir() or all(p.suffix == ".uint16" for p in leftover.iterdir())


def test_damaged_gzip(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "bad.txt.gz"
    file.write_bytes(gzip.compress(TEXT.encode())[:200])
    with pytest.raises(ValueError, match="bad.txt.gz is damaged"):
        make(file).setup()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"file": "nowhere.txt"}, "no text 'nowhere.txt'"),
        ({"context": 0}, "context is 0"),
        ({"test": 0.0}, "test is 0.0"),
        ({"test": 0.9, "val": 0.1}, "expected shares with a sum below 1"),
        ({"tokenizer": "words"}, "tokenizer"),
        ({"tokenizer": "bytes", "size": 9}, "size is 9"),
        ({"merges": ["a b"]}, "merges has no use with data.tokenizer=characters"),
        ({"vocabulary": "aa"}, "vocabulary 'aa' is empty or has a character twice"),
    ],
)
def test_wrong_arguments(text, args, words):
    with pytest.raises(ValueError, match=words):
        make(**{"file": text} | args).setup()


def test_an_empty_folder(tmp_path):
    with pytest.raises(ValueError, match="has no text files"):
        make(tmp_path).setup()


def test_byte_pairs(text):
    data = make(text, tokenizer="bytes", size=300)
    assert 256 < data.num_classes <= 300
    assert "".join(data.class_names[i] for i in data._tokens) == TEXT
    assert len(data._tokens) < 0.6 * len(TEXT)
    again = make(text, tokenizer="bytes", **data.resolved_args())
    assert again.class_names == data.class_names
    assert again.fingerprint() == data.fingerprint()
    of = BytePairs(data.resolved_args()["merges"])
    assert len(of.encode("naïve", "here")) >= 6  # any text can be written
    with pytest.raises(ValueError, match="merge 1 is 'zz q'"):
        BytePairs(["zz q"])


def merged(word, merges):
    """Byte pairs of a word (bytes as characters) by their definition: while any is there, the one learnt first."""
    pieces, rank = list(word), {tuple(m.split(" ")): i for i, m in enumerate(merges)}
    while pairs := [(rank[p], i) for i, p in enumerate(zip(pieces, pieces[1:], strict=False)) if p in rank]:
        first = min(pairs)[0]
        i = next(i for r, i in pairs if r == first)
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
    return pieces


def test_byte_pairs_by_definition(text):
    """Words as the package cuts them, against merging by hand; what is no whole character shows its bytes."""
    merges = make(text, tokenizer="bytes", size=300).resolved_args()["merges"]
    of = BytePairs(merges)
    for word in ("rained", "dogs", "zebra", "cat"):
        assert [of.names[i] for i in of.encode(word, "here")] == merged(word, merges)
    assert [of.names[i] for i in of.encode("ï", "here")] == ["<Ã>", "<¯>"]
    sentence = "said the dog. it rained\n\n  and Rained"
    assert "".join(of.names[i] for i in of.encode(sentence, "here")) == sentence


def test_byte_pairs_without_the_text(text):
    """What a checkpoint keeps is enough for prompts and names; only samples need the text."""
    known = make(text, tokenizer="bytes", size=300)
    tokens = known.read_input("the dog")
    data = make("nowhere.txt", tokenizer="bytes", **known.resolved_args())
    assert data.class_names == known.class_names
    assert torch.equal(data.read_input("the dog"), tokens)
    assert known.is_available
    assert not data.is_available
    with pytest.raises(ValueError, match=r"no text 'nowhere.txt'"):
        data.setup()


def test_byte_pairs_without_the_package(text, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)  # what Python does where it is not installed
    with pytest.raises(ValueError, match=r"need the package tokenizers: pip install 'zoo-interpretable\[text\]'"):
        make(text, tokenizer="bytes").setup()
    assert make(text).num_classes == len(set(TEXT))


@pytest.mark.parametrize("name", ["reviews.csv", "reviews.TSV", "reviews.jsonl", "reviews.csv.gz"])
def test_a_table_of_labels_is_no_text(tmp_path, name):
    (tmp_path / name).write_text("text,label\ngood,1\n")
    with pytest.raises(ValueError, match="is a table; data.name=text reads running text .* not labels"):
        _ = create_data("text", file=str(tmp_path / name), context=8).num_classes


def test_a_classifier_is_not_told_to_have_a_class_for_each_character(tmp_path):
    (tmp_path / "reviews.txt").write_text("good\t1\nbad\t0\n" * 100)
    raw = {
        "model": {"name": "bilinear_mlp", "num_classes": 2},
        "data": {"name": "text", "file": str(tmp_path / "reviews.txt"), "context": 8},
    }
    config = check(raw, where="here", classes=classes)
    with pytest.raises(ValueError, match="bilinear_mlp is no language model, and text has no labels"):
        build(config)
