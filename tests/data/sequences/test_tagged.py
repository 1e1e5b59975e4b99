"""Tagged sentences from files: pieces, vocabulary, figures, what is wrong with a file; CoNLL-2003 where it is there."""

import gzip
import os
from pathlib import Path

import pytest
import torch

from zoo.data import create_data
from zoo.data.sequences._bio_file import read_bio

LONG = [("w", "O")] * 4 + [("New", "I-LOC"), ("York", "I-LOC")] + [("w", "O")] * 3  # nine words, in IOB1
TRAIN = [
    [("Rome", "B-LOC"), ("in", "O"), ("1996", "O")],
    [("Mr", "O"), ("Ito", "B-PER"), ("Jr", "I-PER")],
    LONG,
    [("Ito", "B-PER"), ("in", "O"), ("Rome", "B-LOC"), ("on", "O"), ("12-05", "O")],
]


def write(file, rows, gap="\t"):
    text = "\n\n".join("\n".join(f"{w}{gap}{t}" for w, t in row) for row in rows)
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "train.bio", TRAIN)
    write(tmp_path / "valid.bio.gz", TRAIN[:2], gap=" ")
    write(tmp_path / "test.bio", [LONG, TRAIN[0]])
    return tmp_path


def made(folder, **args):
    return create_data("tagged", folder=str(folder), **args)


class Model:
    """Returns what it is given, question by question."""

    device = "cpu"

    def __init__(self, predicted, classes=5):
        self.predicted, self.at, self.classes = predicted, 0, classes

    def __call__(self, x):
        self.at += len(x)
        return torch.nn.functional.one_hot(self.predicted[self.at - len(x) : self.at], self.classes).float()


def test_sentences(folder):
    data = made(folder, length=7)
    assert data.class_names == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert data.sequence.tokens[:3] == ("<s>", "</s>", "<unk>")
    assert {"@", "@-@", "Rome"} <= set(data.sequence.tokens)
    assert not {"1996", "12-05"} & set(data.sequence.tokens)
    split = data.splits["val"]
    assert [data.class_names[i] for i in split.y] == ["B-LOC", "O", "O", "O", "B-PER", "I-PER"]
    assert [data.sequence.tokens[c] for c in split.x[2, 1:5]] == ["<s>", "Rome", "in", "@"]
    assert split.x[2, 0] == 3
    assert split.names[2] == "val/00000, word 3"
    assert data.input_shape == (8,)
    batch = data.read_input("Rome 1999")
    assert batch.shape == (2, 8)
    assert batch[1, 3] == data.sequence.codes["@"]


def test_samples_know_their_sentence(folder):
    """The words of one sentence are one sequence, in the order of their positions, however they are shuffled."""
    data = made(folder, length=7)
    names = data.splits["train"].names
    seen = {}
    for batch in data.loader("train", shuffle=True, batch_size=2):
        assert batch.sequence is not None
        for index, sequence, position in zip(
            batch.index.tolist(), batch.sequence.tolist(), batch.x[:, 0].tolist(), strict=True
        ):
            assert names[index] == f"train/{sequence:05d}, word {position}"
            seen.setdefault(sequence, set()).add(index)
    assert len(seen) == len(data.pieces_of["train"])
    assert sum(map(len, seen.values())) == len(names)


def test_long_sentences(folder):
    data = made(folder, length=6)  # room for four words: nine are read as three times three
    assert [len(p.words) for p in data.pieces_of["test"]] == [3, 3, 3, 3]
    assert len(data.splits["test"]) == 12
    assert data.pieces_of["test"][1].tags == ["O", "B-LOC", "I-LOC"]
    less = made(folder, length=6, long="drop")
    assert [len(p.words) for p in less.pieces_of["test"]] == [3]


def test_figures(folder):
    data = made(folder, length=6)
    right = data.splits["test"].y
    result = data.extra_metrics(Model(right))
    assert result["F1 of spans"] == result["F1 of LOC"] == result["F1 up to 4 words"] == 1
    assert result["F1 of PER"] == 0  # none is there
    assert result["sentences"] == 2
    assert result["sentences up to 4 words"] == 1
    assert result["F1 by word alone"] == 1
    wrong = right.clone()
    wrong[right == 2] = 0  # the name loses its end
    result = data.extra_metrics(Model(wrong))
    assert result["precision of spans"] == result["recall of spans"] == 0.5
    assert result["F1 up to 4 words"] == 1
    assert made(folder, length=6, limit=3).extra_metrics(Model(right)) == {}
    cut = made(folder, length=4)  # "w w | w w | New | York w | w w": the name is put together again to be scored
    assert [p.tags for p in cut.pieces_of["test"][2:4]] == [["B-LOC"], ["I-LOC", "O"]]
    assert cut.extra_metrics(Model(cut.splits["test"].y))["F1 of spans"] == 1


def test_batches_of_like_length(folder):
    rows = [[("w", "O")] * (1 + i % 9) for i in range(230)] + TRAIN
    write(folder / "train.bio", rows)
    data = made(folder, length=12, batch_size=4)
    loader = data.loader("train", shuffle=True)

    def drawn(epoch, skip=0):
        loader.batch_sampler.set_epoch(epoch)
        loader.batch_sampler.skip(skip)
        return [[i for _, i in batch] for batch in loader.batch_sampler]

    one, two = drawn(0), drawn(1)
    assert sorted(i for b in one for i in b) == list(range(len(data.splits["train"])))
    assert one == drawn(0) != two
    assert drawn(0, skip=13) == one[13:]
    assert len(one) == len(loader)
    spread = [(data.splits["train"].x[b, 1:] >= 0).sum(1) for b in one]
    assert sum(int(n.max() - n.min()) for n in spread) / len(one) < 1
    loose = made(folder, length=12, batch_size=4, alike=False).loader("train", shuffle=True).batch_sampler
    spread = [(data.splits["train"].x[[i for _, i in b], 1:] >= 0).sum(1) for b in loose]
    assert sum(int(n.max() - n.min()) for n in spread) / len(one) > 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Rome B-LOC\nin\n", r"train.bio, line 2: 'in'; expected a word and its tag"),
        ("Rome X-LOC\n", r"train.bio, line 1: .*expected a word and its tag"),
        ("Rome NNP LOC\n", r"train.bio, line 1"),
        ("a B-\n", r"train.bio, line 1"),
        ("\n\n", "train.bio has no sentence"),
    ],
)
def test_wrong_files(folder, text, message):
    (folder / "train.bio").write_text(text)
    with pytest.raises(ValueError, match=message):
        made(folder).setup()


def test_what_does_not_fit(folder):
    write(folder / "test.bio", [[("Rome", "B-LOK")]])
    with pytest.raises(ValueError, match="test, sentence 1 has 'B-LOK', a tag not in training.* did you mean B-LOC"):
        made(folder).setup()
    (folder / "test.bio").unlink()
    with pytest.raises(ValueError, match="test.bio.gz is missing.*data.folder"):
        made(folder).setup()
    with pytest.raises(ValueError, match="data.words is 3"):
        made(folder, words=3)
    write(folder / "test.bio", [LONG])
    with pytest.raises(ValueError, match="test has no sentence of up to 4 words"):
        made(folder, length=6, long="drop").setup()


def test_a_kind_without_a_second_word_and_no_validation_file(folder):
    (folder / "valid.bio.gz").unlink()
    write(folder / "train.bio", [[("Rome", "B-LOC")], [("is", "O")]] * 10)
    write(folder / "test.bio", [[("New", "B-LOC"), ("York", "I-LOC")]])
    data = made(folder)
    assert data.class_names == ("O", "B-LOC", "I-LOC")
    kept = {name: [s.number for s in rows] for name, rows in data.sentences.items()}
    assert len(kept["val"]) == 2
    assert sorted(kept["train"] + kept["val"]) == list(range(1, 21))
    assert made(folder, seed=1).sentences["val"] != data.sentences["val"]
    assert data.splits["test"].y.tolist() == [1, 2]


@pytest.mark.slow
def test_conll2003(monkeypatch):
    root = Path(os.environ.get("ZOO_DATA", ""))
    if not (root / "text" / "conll2003" / "train.bio.gz").is_file():
        pytest.skip("CoNLL-2003 is not in ZOO_DATA")
    data = create_data("conll2003")
    assert {name: len(rows) for name, rows in data.sentences.items()} == {"train": 14041, "val": 3250, "test": 3453}
    assert len(data.sequence.tokens) == 10_000
    assert data.class_names[0] == "O"
    assert len(data.class_names) == 9
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 203621, "val": 51362, "test": 46435}
    counts = torch.bincount(data.splits["test"].y)[1::2]  # as published: places, others, organisations, people
    assert counts.tolist() == [1668, 702, 1661, 1617]
    result = data.extra_metrics(data_by_word(data))
    assert result["F1 of spans"] == result["F1 by word alone"] == pytest.approx(0.5255, abs=1e-4)
    assert result["sentences up to 30 words"] == 3076


def data_by_word(data):
    """A model that answers each word's most frequent tag, counted here once more."""
    train, tags = data.pieces_of["train"], {}
    for piece in train:
        for word, tag in zip(data.sequence.encode(piece.words)[1:-1], piece.tags, strict=True):
            tags.setdefault(word, {}).setdefault(tag, []).append(1)
    order = data.class_names
    best = {w: max(order, key=lambda tag: (len(t.get(tag, [])), -order.index(tag))) for w, t in tags.items()}
    test = [c for piece in data.pieces_of["test"] for c in data.sequence.encode(piece.words)[1:-1]]
    predicted = torch.tensor([order.index(best.get(c, "O")) for c in test])

    return Model(predicted, 9)


def test_other_sentences_are_read_with_the_words_and_tags_of_the_model(folder, tmp_path):
    trained = made(folder)
    result = {**trained.sequence.to_config(), "classes": list(trained.class_names)}
    other = tmp_path / "other"
    other.mkdir()
    for stem in ("train", "test"):
        write(other / f"{stem}.bio", [[("Ito", "B-PER"), ("naps", "O")]] * 20)
    data = made(other)
    data.check_compatible_with(result)
    assert (data.sequence, data.class_names) == (trained.sequence, trained.class_names)
    x, y = data.samples("test", [0]).x, data.samples("test", [0]).y
    assert trained.sequence.tokens[int(x[0, 2])] == "Ito"
    assert trained.class_names[int(y[0])] == "B-PER"
    write(other / "test.bio", [[("Ito", "B-ORG")]])
    again = made(other)
    again.check_compatible_with(result)
    with pytest.raises(ValueError, match="test, sentence 1 has 'B-ORG', a tag not in training"):
        _ = again.splits


@pytest.mark.parametrize(
    ("text", "words", "tags"),
    [
        ("\ufeffRome B-LOC\n", ["Rome"], ["B-LOC"]),
        ("a\u2028b\tO\r\nc\u00a0d O\r\n", ["a\u2028b", "c\u00a0d"], ["O", "O"]),
        ("-DOCSTART- -X- -X- O\n\nRome NNP B-NP I-LOC\nis VB O O\n", ["Rome", "is"], ["B-LOC", "O"]),
        (
            "New B-LOC\nYork E-LOC\nIto S-PER\nA B-X\nB I-X\nC E-X\n",
            ["New", "York", "Ito", "A", "B", "C"],
            ["B-LOC", "I-LOC", "B-PER", "B-X", "I-X", "I-X"],
        ),
        ("New B-LOC\nYork L-LOC\nIto U-PER\n", ["New", "York", "Ito"], ["B-LOC", "I-LOC", "B-PER"]),
        ("Ito S-PER\nIto S-PER\n", ["Ito", "Ito"], ["B-PER", "B-PER"]),
    ],
)
def test_forms_of_files(tmp_path, text, words, tags):
    (tmp_path / "a.bio").write_bytes(text.encode())
    (sentence,) = read_bio(tmp_path / "a.bio")
    assert (sentence.words, sentence.tags) == (words, tags)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("Z\xfcrich B-LOC\n".encode("latin-1"), "a.bio is not UTF-8 text .*convert it"),
        (b"Rome B-LOC\nis VB O\n", "a.bio, line 2: 'is VB O' has 3 cells; the lines before have 2"),
        (b"Rome X-LOC\n", "a.bio, line 1: 'Rome X-LOC'; expected a word and its tag"),
        (b"Rome\n", "a.bio, line 1: 'Rome'; expected a word and its tag"),
        (b"-DOCSTART- O\n\n", "a.bio has no sentence"),
    ],
)
def test_files_that_are_refused(tmp_path, content, reason):
    (tmp_path / "a.bio").write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_bio(tmp_path / "a.bio")


def test_a_word_with_a_no_break_space_is_one_question(folder):
    assert len(made(folder).read_input("New\u00a0York 1999")) == 2
