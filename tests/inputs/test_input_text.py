"""Texts and sequences of tokens as inputs: files of each kind, words outside the vocabulary, truncation, labels."""

import json

import pandas as pd
import pytest

from zoo.inputs import base
from zoo.inputs.text import TextInputs
from zoo.inputs.texts.byte_pairs import BytePairs
from zoo.inputs.texts.text_files import read_texts
from zoo.inputs.texts.tokenizer_config import tokenizer_from
from zoo.inputs.texts.tokenizers import Characters, Words, split_words
from zoo.inputs.tokens import TokenInputs
from zoo.sequence_spec import Frame

ROWS = [("good", "a good film"), ("bad", "a bad, bad film"), ("good", "good acting")]


def frame():
    return pd.DataFrame(ROWS, columns=["label", "text"])


@pytest.fixture
def inputs():
    return TextInputs.fit(frame(), length=4)


def test_vocabulary_and_classes(inputs):
    assert inputs.class_names == ("bad", "good")
    assert inputs.tokenizer.names == ("[UNK]", "a", "film", "good", "acting", "bad", "bad,")
    assert inputs.read(frame()).x.tolist() == [[1, 3, 2, -1], [1, 6, 5, 2], [3, 4, -1, -1]]
    assert inputs.read(frame()).y.tolist() == [1, 0, 1]
    assert inputs.show(inputs.read("A GOOD play").x) == [["a", "good", "[UNK]"]]
    limited = TextInputs.fit(frame(), length=4, max_words=3)
    assert limited.tokenizer.names == ("[UNK]", "a", "film")
    assert TextInputs.fit(frame(), length=4, min_count=2).tokenizer.names == ("[UNK]", "a", "film", "good")


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "frame", "records"])
def test_sources_are_equal(inputs, tmp_path, kind):
    path = tmp_path / f"t.{kind}"
    if kind == "csv":
        frame().to_csv(path, index=False)
    elif kind == "tsv":
        frame().to_csv(path, index=False, sep="\t")
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps({"text": text, "label": label}) for label, text in ROWS) + "\n\n")
    source = {"frame": frame(), "records": frame().to_dict("records")}.get(kind, path)
    batch, expected = inputs.read(source), inputs.read(frame())
    assert batch.x.equal(expected.x)
    assert batch.y.equal(expected.y)
    assert inputs.read(source, labels=False).y is None


def test_plain_files_and_lists(inputs, tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("\ufeffa good film\r\n\nfilm\u2028bad\n", encoding="utf-8")
    (texts,) = read_texts(path)
    assert texts.texts == ("a good film", "film\u2028bad")
    assert texts.rows == ("line 1", "line 3")
    assert inputs.read(path).x.tolist() == [[1, 3, 2, -1], [0, -1, -1, -1]]
    assert inputs.read(["a", "film"]).x[:, 0].tolist() == [1, 2]
    with pytest.raises(ValueError, match="has no column of labels; name it in data.label"):
        inputs.read(path, labels=True)
    path.write_bytes(b"good\nb\xe9d\n")
    with pytest.raises(ValueError, match=r"t.txt, after line \d: not UTF-8 text"):
        inputs.read(path)


def test_long_texts_are_cut_and_flagged(inputs):
    reading = next(inputs.scan("a good film " * 3))
    assert reading.x.tolist() == [[1, 3, 2, 1]]
    assert str(reading.flags[0]) == "text 1: the text has 9 tokens and was cut to 4"
    with pytest.raises(ValueError, match="was cut to 4"):
        list(inputs.scan("a good film " * 3, strict=True))


def test_texts_that_cannot_be_read(inputs, tmp_path):
    with pytest.raises(ValueError, match="text 2: the text is empty"):
        inputs.read(["a", " "])
    reading = next(inputs.scan(["a", " ", "film"], skip=True))
    assert reading.rows == ("text 1", "text 3")
    assert reading.position.tolist() == [0, 2]
    path = tmp_path / "t.jsonl"
    for line, message in {
        "{": "line 2: ",
        "[1]": "line 2: list; expected an object",
        '{"body": "x"}': "line 2: no text; expected one of",
        '{"text": 3}': "line 2: no text",
        "[" * 100_000: "line 2: ",
    }.items():
        path.write_text('{"text": "a"}\n' + line + "\n")
        with pytest.raises(ValueError, match=message):
            inputs.read(path)
        assert [flag.row for flag in next(inputs.scan(path, skip=True)).skipped] == ["line 2"]


def test_labels_are_matched_by_name(inputs):
    with pytest.raises(ValueError, match=r"missing 'bad'; additional 'Bad'; perhaps renamed: 'bad' to 'Bad'"):
        inputs.read(frame().replace("bad", "Bad"))
    with pytest.raises(ValueError, match="perhaps renamed"):
        inputs.check(frame().replace("bad", "Bad"))
    inputs.check(("good", "bad"))
    with pytest.raises(ValueError, match="row 2: the label is missing"):
        inputs.read(frame().replace("bad", None))
    with pytest.raises(ValueError, match=r"has no column 'review' \(data.text\)"):
        TextInputs.fit(frame(), length=4, text="review")
    assert TextInputs.fit(frame().rename(columns={"text": "review"}), length=4, text="review").class_names


def test_tokenizers():
    assert split_words("so\u00a0called  good\tfilm\u2028x\n") == ["so\u00a0called", "good", "film\u2028x"]
    characters = Characters(Characters.learn(["ba", "c${"]))
    assert "".join(characters.names) == "$abc{"
    assert characters.decode(characters.encode("cab")) == "cab"
    with pytest.raises(ValueError, match=r"the text: character 'z' \(place 2\) is not in the vocabulary of 5"):
        characters.encode("az")
    with pytest.raises(ValueError, match="word 2 is 'filn', .*did you mean film"):
        Words(["a", "film"]).encode("a filn")
    with pytest.raises(ValueError, match="has a character twice"):
        Characters("aa")
    with pytest.raises(ValueError, match="named 'syllables'"):
        tokenizer_from({"name": "syllables"})
    with pytest.raises(ValueError, match="cannot be built"):
        tokenizer_from({"name": "words", "letters": 3})


def test_byte_pairs_survive_yaml(tmp_path):
    pytest.importorskip("tokenizers")
    text = 'if [ -n "${HOME}" ]; then cd ${HOME}/bin; fi ??? {} é\n' * 20
    pairs = BytePairs(BytePairs.learn([text], 300))
    assert 256 < len(pairs.names) <= 300
    inputs = TextInputs(pairs, 64, class_names=("a", "b"))
    base.save(inputs, tmp_path)
    loaded = base.load(tmp_path)
    assert loaded.tokenizer.names == pairs.names
    other = "${HOME} ü \U0001f600"
    assert loaded.tokenizer.encode(other).tolist() == pairs.encode(other).tolist()
    assert pairs.decode(pairs.encode(other)) == other


def test_a_text_with_dollars_and_braces(cases, tmp_path):
    text = (cases / "text" / "shell.txt").read_text()
    inputs = TextInputs(Characters(Characters.learn([text])), 64)
    base.save(inputs, tmp_path)
    loaded = base.load(tmp_path)
    assert loaded.read(cases / "text" / "shell.txt").x.equal(inputs.read(cases / "text" / "shell.txt").x)
    first = loaded.read(cases / "text" / "shell.txt").x[0]
    assert loaded.tokenizer.decode(first.tolist()) == text.split("\n")[0][:64]


SEQUENCE = Frame(("a", "b", "[S]", "[E]", "?"), 5, before=("[S]",), after=("[E]",), unknown="?")


def test_sequences():
    inputs = TokenInputs(SEQUENCE)
    assert inputs.shape == (5,)
    assert inputs.read("a b").x.tolist() == [[2, 0, 1, 3, -1]]
    assert inputs.read(["a", "b"]).x.tolist() == [[2, 0, 1, 3, -1]]
    assert inputs.read([["a"], ["b", "a"]]).x.tolist() == [[2, 0, 3, -1, -1], [2, 1, 0, 3, -1]]
    assert inputs.read(["a b", "b a"]).x[:, 1:3].tolist() == [[0, 1], [1, 0]]
    with pytest.raises(ValueError, match="the sequence has 4 words; there is room for 3"):
        inputs.read("a b a b")
    reading = next(inputs.scan("a x"))
    assert reading.x.tolist() == [[2, 0, 4, 3, -1]]
    assert str(reading.flags[0]) == "text 1: 'x' is not in the vocabulary; read as '?'"
    with pytest.raises(ValueError, match="'x' is not in the vocabulary"):
        list(inputs.scan("a x", strict=True))
    strict = TokenInputs(Frame(("a", "b"), 3))
    with pytest.raises(ValueError, match="word 2 is 'c', which is not in the vocabulary"):
        strict.read("a c")
    assert [f.row for f in next(strict.scan([["a"], ["c"], ["b"]], skip=True)).skipped] == ["sequence 2"]


def test_questions_about_positions():
    inputs = TokenInputs(SEQUENCE, whole=False)
    assert inputs.shape == (6,)
    reading = next(inputs.scan([["a", "b"], ["b"]]))
    assert reading.x.tolist() == [[1, 2, 0, 1, 3, -1], [2, 2, 0, 1, 3, -1], [1, 2, 1, 3, -1, -1]]
    assert reading.rows == ("sequence 1, word 1", "sequence 1, word 2", "sequence 2, word 1")
    assert reading.position.tolist() == [0, 0, 1]
    assert inputs.show(reading.x)[1] == ["[S]", "a", "[b]", "[E]"]


def test_rows_of_categories():
    sequence = Frame(("odor=foul", "odor=none", "cap=flat", "cap=?"), 2, columns=("odor", "cap"))
    inputs = TokenInputs(sequence, class_names=("edible", "poisonous"))
    rows = {"cap": ["flat", ""], "x": [1, 2], "odor": ["none", "foul"]}
    assert inputs.read(rows).x.tolist() == [[1, 2], [0, 3]]
    assert inputs.read("cap=flat,odor=foul").x.tolist() == [[0, 2]]
    with pytest.raises(ValueError, match="row 1: .*'odor=foull', which is not in .*, did you mean odor=foul"):
        inputs.read({"cap": ["flat"], "odor": ["foull"]})
    with pytest.raises(ValueError, match="has no column 'odor' .*did you mean odour"):
        inputs.read({"cap": ["flat"], "odour": ["foul"]})
    inputs.check(["poisonous", "edible"])
    with pytest.raises(ValueError, match="'edible' to 'eatable'"):
        inputs.check(["poisonous", "eatable"])
    with pytest.raises(ValueError, match="the tokens are not the model's .*additional 'odor=new'"):
        inputs.check(Frame(("odor=new", "cap=flat"), 2, columns=("odor", "cap")))
