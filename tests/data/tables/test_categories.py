"""Rows of words: a user's CSV and the concepts of other data."""

from types import SimpleNamespace

import pytest
import torch

from zoo.concept_schema import ConceptSchema
from zoo.data import create_data
from zoo.data.split import Split

HEAD = "colour,smell,edible,part\n"
ROWS = [("red", "foul", "no"), ("red", "none", "yes"), ("brown", "none", "yes"), ("", "foul", "no")]


@pytest.fixture
def table(tmp_path):
    parts = ["train", "train", "val", "test"] * 5
    rows = [",".join((*ROWS[(i + i // 4) % 4], parts[i])) for i in range(20)]
    file = tmp_path / "table.csv"
    file.write_text(HEAD + "\n".join(rows) + "\n")
    return file


def test_rows_of_a_table(table):
    data = create_data("categories", file=str(table), target="edible", split="part")
    assert data.sequence.tokens == ("colour=?", "colour=brown", "colour=red", "smell=foul", "smell=none")
    assert data.input_shape == (2,)
    assert data.class_names == ("no", "yes")
    batch = data.samples("train", range(10))
    for x, y, row in zip(batch.x.tolist(), batch.y.tolist(), data.feature_values(batch.x), strict=True):
        assert x[1] == (3 if y == 0 else 4)
        assert [name for name, _ in row] == ["colour", "smell"]
        assert row[1][1] == ("foul" if y == 0 else "none")
    assert len(list(data.loader("train", batch_size=3))) == 4, "every row is a sequence of its own"


def test_an_input_of_ones_own(table):
    data = create_data("categories", file=str(table), target="edible", split="part")
    assert data.read_input("smell=none, colour=red").tolist() == [2, 4]
    for text, reason in (
        ("smell=none", "'colour' is missing"),
        ("smel=none,colour=red", "'smel' is not a column, did you mean smell"),
        ("smell=nine,colour=red", "has no value 'nine', did you mean none"),
        ("smell=none,smell=none,colour=red", "'smell' is given twice"),
    ):
        with pytest.raises(ValueError, match=reason):
            data.read_input(text)


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"target": "edibel"}, "no column 'edibel' .data.target., did you mean edible"),
        ({"most": 2}, "column 'colour' has 3 different values, more than data.most=2"),
        ({"features": []}, "data.features is empty"),
        ({"features": ["size"]}, "no column 'size'"),
    ],
)
def test_wrong_tables(table, args, reason):
    with pytest.raises(ValueError, match=reason):
        create_data("categories", **{"file": str(table), "target": "edible", "split": "part"} | args).setup()


def test_concepts_as_words():
    data = create_data("concept_words", source="digits", source_args={"size": 8, "limit": 100})
    source = data.source
    assert len(data.splits["train"]) == len(source.splits["train"])
    truth, x = source.splits["test"].concepts, data.splits["test"].x
    assert data.input_shape == (len(source.concepts.group_names),)
    for column, name in enumerate(source.concept_names):
        words = [data.sequence.tokens[c] for c in x[:, column].tolist()]
        assert words == [f"{name}={'yes' if v else 'no'}" for v in truth[:, column].tolist()]
    assert torch.equal(data.splits["test"].y, source.splits["test"].y)
    with pytest.raises(ValueError, match="digits has no concepts|has no concepts"):
        create_data("concept_words", source="rasp").setup()


def test_groups_of_concepts(table):
    data = create_data(
        "concept_words",
        source="table",
        source_args={"file": str(table), "target": "edible", "split": "part", "concept_columns": ["colour", "smell"]},
    )
    with pytest.raises(ValueError, match="has no column for the inputs"):
        data.setup()
    text = table.read_text().splitlines()
    table.write_text("\n".join([text[0] + ",size", *(f"{line},{i}" for i, line in enumerate(text[1:]))]))
    data = create_data(
        "concept_words",
        source="table",
        source_args={"file": str(table), "target": "edible", "split": "part", "concept_columns": ["smell", "colour"]},
    )
    assert set(data._columns) == {"smell", "colour"}
    rows = data.feature_values(data.splits["train"].x)
    for row, label in zip(rows, data.splits["train"].y.tolist(), strict=True):
        result = dict(row)
        assert result["colour"] in ("red", "brown", "?")
        assert result["smell"] in ("foul", "none", "yes", "no")
        assert label in (0, 1)


def test_groups_whose_concepts_do_not_stand_together():
    """Words are those of their own column, in whatever order the source has its concepts."""
    columns = {
        "tall": {"kind": "binary", "group": "size"},
        "hue: red": {"kind": "categorical", "group": "hue"},
        "fast": {"kind": "binary", "group": "pace"},
        "wide": {"kind": "binary", "group": "size"},
        "hue: blue": {"kind": "categorical", "group": "hue"},
    }
    data = create_data("concept_words", source="digits", source_args={"size": 8, "limit": 100})
    schema = ConceptSchema.from_config({"columns": columns})
    truth = torch.tensor([[1.0, 0, 0, 0, 1], [0, 1, 1, float("nan"), 0]])
    rows = Split(["x", "y"], torch.tensor([0, 1]), concepts=truth)
    data.source = SimpleNamespace(concepts=schema, class_names=("a", "b"), splits={"train": rows})
    assert [dict(row) for row in data.feature_values(data._read()["train"].x)] == [
        {"tall": "yes", "wide": "no", "hue": "blue", "fast": "no"},
        {"tall": "no", "wide": "?", "hue": "red", "fast": "yes"},
    ]
    twice = create_data("concept_words", source="digits", source_args={"size": 8, "limit": 100})
    both = {**columns, "hue": {"kind": "binary", "group": "other"}}
    twice.source = SimpleNamespace(concepts=ConceptSchema.from_config({"columns": both}))
    with pytest.raises(ValueError, match="'hue' of digits is a concept and a group"):
        _ = twice.sequence


def test_another_table_is_read_as_the_model_knows_it(table, tmp_path):
    """Columns in another order, fewer values, one class: tokens and classes stay those of training."""
    trained = create_data("categories", file=str(table), target="edible", split="part")
    result = {**trained.sequence.to_config(), "classes": list(trained.class_names)}
    other = tmp_path / "other.csv"
    other.write_text("smell,edible,colour\n" + "none,yes,red\n" * 20)
    data = create_data("categories", file=str(other), target="edible")
    data.check_compatible_with(result)
    assert data.sequence == trained.sequence
    assert data.class_names == ("no", "yes")
    batch = data.samples("test", [0])
    assert (batch.x.tolist(), batch.y.tolist()) == ([[2, 4]], [1])
    for text, reason in (
        (
            "smell,edible,colour\nnone,yes,red\nnine,yes,red\n",
            "line 3.*'smell'.*'nine' is not a value known to",
        ),
        (
            "smell,edible,colour\nnone,yes,red\nnone,nay,red\n",
            "line 3.*the classes are not the model's .*additional 'nay'",
        ),
        ("smell,edible\nnone,yes\n", "no column 'colour'"),
    ):
        other.write_text(text)
        data = create_data("categories", file=str(other), target="edible")
        data.check_compatible_with(result)
        with pytest.raises(ValueError, match=reason):
            _ = data.splits


def test_a_row_has_a_word_for_each_column(table):
    frame = create_data("categories", file=str(table), target="edible", split="part").sequence
    assert frame.encode(["colour=red", "smell=none"]) == [2, 4]
    for words in (["smell=none", "colour=red"], ["colour=red"], ["colour=red", "colour=?"]):
        with pytest.raises(ValueError, match="is not a row; expected a word for each of colour, smell"):
            frame.encode(words)


def test_numbers_become_intervals(tmp_path):
    ages = [20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95]
    rows = [f"{age},{'red' if k % 3 else 'brown'},{'yes' if age > 50 else 'no'},train" for k, age in enumerate(ages)]
    rows += [",red,yes,train", "1e3,red,yes,test", "NA,brown,no,test"]
    file = tmp_path / "ages.csv"
    file.write_text("age,colour,old,part\n" + "\n".join(rows) + "\n")
    with pytest.raises(ValueError, match="set data.bins=4 where they are numbers"):
        create_data("categories", file=str(file), target="old", split="part", most=8).setup()
    data = create_data("categories", file=str(file), target="old", split="part", bins=4, val=0)
    words = ("?", "below 37.5", "37.5 to 57.5", "57.5 to 77.5", "77.5 or more")  # quarters of the training rows
    assert data.sequence.tokens == (*(f"age={word}" for word in words), "colour=brown", "colour=red")
    batch = data.samples("train", range(17))
    for age, row in zip([*ages, None], data.feature_values(batch.x), strict=True):
        place = 0 if age is None else 1 + sum(age >= cut for cut in (37.5, 57.5, 77.5))
        assert row[0] == ("age", words[place])
    assert [row[0][1] for row in data.feature_values(data.samples("test", range(2)).x)] == ["77.5 or more", "?"]
    assert data.read_input("age=57.5,colour=red").tolist() == [3, 6]
    inputs = data.inputs  # of a checkpoint: the words alone say where the intervals end
    read = inputs.read({"age": ["-4", None, "NA", "37.5", "1e9"], "colour": ["red"] * 5}).x
    assert read[:, 0].tolist() == [1, 0, 0, 2, 4]
    with pytest.raises(ValueError, match="age=old"):
        inputs.read({"age": ["old"], "colour": ["red"]})
    with pytest.raises(ValueError, match="data.bins is 1; expected 2 or more"):
        create_data("categories", file=str(file), target="old", bins=1)
