"""The source of labeled sentences: files, roles of columns, splits, tokens over the original characters."""

import gzip
import json

import pandas as pd
import pytest
import torch

import zoo
from zoo.inputs import base as inputs_base
from zoo.inputs.sentences import SentenceInputs
from zoo.inputs.texts.sentence_files import read_sentences
from zoo.inputs.texts.word_spans import word_spans
from zoo.sequence_spec import Frame

GOOD = ["a good film", "Quite good !", "good fun, good cast", "so good", "a very good one", "good enough"]
BAD = ["a dull film", "Quite dull !", "dull jokes, dull cast", "so dull", "a very dull one", "dull enough"]
ROWS = [(text, label) for pair in zip(GOOD, BAD, strict=True) for text, label in zip(pair, ("pos", "neg"), strict=True)]


def frame(rows=ROWS):
    return pd.DataFrame(rows, columns=["review", "stars"])


def written(tmp_path, kind, rows=ROWS):
    table, file = frame(rows), tmp_path / f"reviews.{kind}"
    if kind == "csv":
        table.to_csv(file, index=False)
    elif kind == "tsv":
        file.write_text("review\tstars\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    elif kind == "jsonl":
        file.write_text("".join(json.dumps({"review": text, "stars": label}) + "\n" for text, label in rows))
    elif kind == "parquet":
        pytest.importorskip("pyarrow")
        table.to_parquet(file)
    else:
        file = tmp_path / "reviews"
        for i, (text, label) in enumerate(rows):
            (file / label).mkdir(parents=True, exist_ok=True)
            (file / label / f"{i:02}.txt").write_text(text)
    return file


def source(file, **more):
    roles = {} if file.is_dir() else {"text": "review", "label": "stars"}
    return zoo.create_data("sentences", file=str(file), **{"length": 12, **roles, **more})


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "folder"])
def test_every_kind_of_file_gives_the_same_samples(tmp_path, kind):
    data = source(written(tmp_path, kind))
    texts = {split: sorted(data.texts(split)) for split in ("train", "val", "test")}
    assert sorted(sum(texts.values(), [])) == sorted(text for text, _ in ROWS)
    assert data.class_names == ("neg", "pos")
    batch = data.samples("test", range(len(data.splits["test"])))
    for text, y, pieces in zip(data.texts("test"), batch.y.tolist(), data.token_texts(batch.x), strict=True):
        assert dict(ROWS)[text] == data.class_names[y]
        assert "".join(pieces) == text


def test_text_and_label_are_found_by_usual_names_and_otherwise_asked_for(tmp_path):
    file = tmp_path / "a.csv"
    frame().rename(columns={"review": "text", "stars": "label"}).to_csv(file, index=False)
    assert len(zoo.create_data("sentences", file=str(file)).splits["test"]) == 2
    pd.DataFrame({"one": GOOD, "two": BAD, "kind": ["x", "y"] * 3}).to_csv(file, index=False)
    with pytest.raises(
        ValueError, match="no column is clearly the label; name it in data.label, one of one, two, kind"
    ):
        _ = zoo.create_data("sentences", file=str(file)).splits
    with pytest.raises(ValueError, match="no column is clearly the text; name it in data.text, one of one, two"):
        _ = zoo.create_data("sentences", file=str(file), label="kind").splits
    pair = zoo.create_data("sentences", file=str(file), label="kind", text=["one", "two"])
    assert pair.texts("train")[0].count(" [SEP] ") == 1
    with pytest.raises(ValueError, match="no column 'stars' .*did you mean|has no column 'stars'"):
        _ = zoo.create_data("sentences", file=str(file), label="stars").splits


def test_groups_and_equal_texts_stay_in_one_split(tmp_path):
    rows = [(f"text {i} {word}", label, i // 2) for i in range(40) for word, label in (("good", 1), ("bad", 0))]
    rows += [("Text 3  GOOD", 1, 30)]  # joins the groups 1 and 30
    file = tmp_path / "a.csv"
    pd.DataFrame(rows, columns=["text", "label", "author"]).to_csv(file, index=False)
    data = zoo.create_data("sentences", file=str(file), group="author", val=0.2)
    of = {text: split for split in data.splits for text in data.texts(split)}
    assert {len(data.splits[split]) > 0 for split in ("train", "val", "test")} == {True}
    for i in range(0, 40, 2):
        assert len({of[f"text {j} {word}"] for j in (i, i + 1) for word in ("good", "bad")}) == 1
    assert of["Text 3  GOOD"] == of["text 3 good"]


def test_concept_columns_with_unknown_cells(tmp_path):
    table = frame()
    table["food"] = ["Positive", "Negative", "", "no majority"] * 3
    file = tmp_path / "a.csv"
    table.to_csv(file, index=False)
    options = {"concept_columns": ["food"], "concept_unknown": ["no majority"]}
    data = source(file, **options)
    assert data.concept_names == ("food: Negative", "food: Positive")
    known = {text: cell in ("Positive", "Negative") for (text, _), cell in zip(ROWS, table["food"], strict=True)}
    for split in ("train", "test"):
        for text, row in zip(data.texts(split), data.splits[split].concepts, strict=True):
            assert bool(row.isfinite().all()) == known[text]
    assert source(file, concept_missing="unknown", **options).concept_names[-1] == "food: unknown"


def test_errors_name_file_and_line(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("review,stars\nfine,5\n,1\n")
    with pytest.raises(ValueError, match=r"a.csv, line 3, column 'review': the text is empty"):
        _ = source(file).splits
    file.write_text("review,stars\nfine,5\ndull,\n")
    with pytest.raises(ValueError, match=r"a.csv, line 3, column 'stars': the label is missing"):
        _ = source(file).splits
    file.write_text("review,stars\nfine,5\ndull,5\n")
    with pytest.raises(ValueError, match="'5' in every record; expected two classes"):
        _ = source(file).splits
    with pytest.raises(ValueError, match="data.set is 'sst', did you mean sst5 or sst2"):
        zoo.create_data("sentences", set="sst")
    with pytest.raises(ValueError, match="give one of the two"):
        zoo.create_data("sentences")
    with pytest.raises(ValueError, match="data.name=sentences data.text=COLUMN data.label=COLUMN"):
        _ = zoo.create_data("text", file=str(file)).splits


def test_quotation_marks_of_a_tsv_are_text_unless_they_enclose_cells(tmp_path):
    file = tmp_path / "a.tsv"
    file.write_text('text\tlabel\n"Dull" is the word\t0\nsay "no"\t1\n')
    assert next(read_sentences(file)).text("text") == ['"Dull" is the word', 'say "no"']
    file.write_text('text\tlabel\n"a ""very""\tgood one"\t0\nplain\t1\n')
    assert next(read_sentences(file)).text("text") == ['a "very"\tgood one', "plain"]
    with gzip.open(tmp_path / "b.jsonl.gz", "wt", encoding="utf-8") as packed:
        packed.write('\ufeff{"text": "naïve 🎈", "label": true}\r\n')
    assert next(read_sentences(tmp_path / "b.jsonl.gz")).columns["label"].tolist() == ["true"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's good, isn't it?", ["It's", "good", ",", "isn't", "it", "?"]),
        ("naïve 🎈 3.5", ["naïve", "🎈", "3", ".", "5"]),
        ("很好看", ["很", "好", "看"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("हिन्दी अच्छी", ["हिन्दी", "अच्छी"]),
        ("ดีมาก", ["ดี", "ม", "า", "ก"]),
        ("a [SEP] b", ["a", "[SEP]", "b"]),
        (" \t\n", []),
    ],
)
def test_words_of_any_script(text, words):
    assert [text[start:end] for start, end in word_spans(text)] == words


def test_inputs_are_saved_and_read_new_texts_without_the_training_data(tmp_path):
    data = source(written(tmp_path, "csv"), length=5)
    inputs = data.inputs
    inputs_base.save(inputs, tmp_path)
    loaded = inputs_base.load(tmp_path)
    assert loaded.to_config() == inputs.to_config()
    reading = next(loaded.scan(["A GOOD film , really good", "zzz"], labels=False))
    names = data.sequence.tokens
    assert [names[code] for code in reading.x[0].tolist()] == ["a", "good", "film", ",", "[UNK]"]
    assert [flag.message for flag in reading.flags] == [
        "the text has 6 tokens and was cut to 5",
        "no word of the text was in the training texts",
    ]
    assert "".join(loaded.show(reading.x)[0]) == "A GOOD film , really"
    with pytest.raises(ValueError, match="the text is empty"):
        loaded.read(["  "])
    other = source(written(tmp_path, "jsonl"))
    other.use_inputs(loaded)
    assert other.inputs is loaded
    assert other.sequence.tokens == data.sequence.tokens


def test_a_text_whose_words_are_cut_keeps_the_tokens_that_end_it():
    words = Frame(("[UNK]", "<s>", "</s>", "a"), 4, ("<s>",), ("</s>",), "[UNK]")
    inputs = SentenceInputs(class_names=("x", "y"), length=4, sequence=words)
    x, counts = inputs.encode(["a a a a"])
    assert x.tolist() == [[1, 3, 3, 2]]
    assert counts == [6]
    assert inputs.show(x) == [["<s> ", "a ", "a", " </s>"]]
    assert inputs.show(torch.tensor([[1, 3, 2, -1]])) == [["<s> ", "a ", "</s> "]]
