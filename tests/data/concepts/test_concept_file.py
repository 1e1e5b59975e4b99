"""Concepts that a user wrote: kinds, groups, what is unknown, and every slip with its row and column."""

import math

import pytest
import torch

from zoo.data import create_data
from zoo.data.concepts._concepts_file import read_concepts

KEYS = [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(10)]


@pytest.fixture
def read(tmp_path):
    """Reads concepts of a, b, c, d from lines."""

    def of(*lines, keys="abcd", **args):
        file = tmp_path / "said.csv"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return read_concepts(file, list(keys), **args)

    return of


def rows(labels):
    return [[None if math.isnan(v) else v for v in row] for row in labels.values.tolist()]


def test_kinds_by_the_cells(read):
    labels = read(
        "file,furry,tail,size,colour", "a,yes,1,3.5,red", "b,No,0,4,blue", "c,TRUE,0,-2e1,tan", "d,no,0,7,red"
    )
    assert [(c.name, c.kind, c.group) for c in labels.columns] == [
        ("furry", "binary", "furry"),
        ("tail", "binary", "tail"),
        ("size", "continuous", "size"),
        ("colour: blue", "categorical", "colour"),
        ("colour: red", "categorical", "colour"),
        ("colour: tan", "categorical", "colour"),
    ]
    assert rows(labels) == [[1, 1, 3.5, 0, 1, 0], [0, 0, 4, 1, 0, 0], [1, 0, -20, 0, 0, 1], [0, 0, 7, 0, 1, 0]]
    assert "said.csv" in labels.provenance


def test_what_is_not_said_is_unknown(read):
    labels = read("file,furry,colour,size", "c,,red,", "a,1.0,,5", "", "b,0,blue,6")  # in any order; none of d
    assert rows(labels) == [[1, None, None, 5], [0, 1, 0, 6], [None, 0, 1, None], [None, None, None, None]]


def test_groups_and_chosen_kinds(read):
    lines = ("file,wing::bar,wing::spot,legs,beak::mm", "a,1,0,10,3", "b,0,0,2,4", "c,0,1,10,5")
    labels = read(*lines, kinds={"legs": "categorical"})
    assert [(c.name, c.group) for c in labels.columns] == [
        ("wing::bar", "wing"),
        ("wing::spot", "wing"),
        ("legs: 2", "legs"),  # by size, not by the alphabet
        ("legs: 10", "legs"),
        ("beak::mm", "beak::mm"),
    ]
    assert [c.kind for c in read(*lines).columns][2] == "continuous"
    mixed = read("file,a", "a,1", "b,two", "c,1", kinds={"a": "categorical"})
    assert [c.name for c in mixed.columns] == ["a: 1", "a: two"]
    assert [c.kind for c in read("file,a", "a,1", "b,0", kinds={"a": "continuous"}).columns] == ["continuous"]


def test_scale_is_of_the_training_split(read):
    labels = read("file,size,age,rare", "a,1,5,", "b,3,5,", "c,100,9,2", "d,50,8,1", kinds={"rare": "continuous"})
    size, age, rare = labels.schema(labels.values[:2]).concepts
    assert (size.mean, size.std) == (2, 1)
    assert (age.mean, age.std) == (5, 1)  # does not vary there
    assert (rare.mean, rare.std) == (0, 1)  # unknown there
    values = torch.tensor([[0.1, 1, 1], [math.nan, 2, 1], [0.4, 3, 1]])
    assert labels.schema(values).concepts[0].std == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["name,furry", "a,1"], "said.csv: the first column is 'name'; expected 'file'"),
        (["file", "a"], "said.csv: no column after 'file'"),
        (["file,furry,furry", "a,1,1"], "said.csv, line 1: column 'furry' occurs twice, at 2 and 3"),
        (["file,,furry", "a,1,1"], "said.csv, line 1: column 2 has no name"),
        (["file,furry", "a,1", "e,0"], "said.csv, line 3, column 'file': no sample 'e'"),
        (["file,furry", "a,1", "", "b,0", "a,0"], "said.csv, line 5, column 'file': 'a' is already in line 2"),
        (["file,furry", "a,1", "b,0,1"], "said.csv, line 3: 3 cells where the header has 2"),
        (
            ["file,size", "a,1", "b,3", "c,big"],
            "said.csv, line 4, column 'size': 'big' is a word, '1' in line 2 a number",
        ),
        (
            ["file,size", "a,1", "b,3", "c,NaN"],
            "said.csv, line 4, column 'size': 'NaN' is not a finite number; leave",
        ),
        (["file,size", "a,1", "b,3", "c,-inf"], "said.csv, line 4, column 'size': '-inf' is not a finite number"),
        (["file,furry", "a,yes", "b,nan", "c,no"], "said.csv, line 3, column 'furry': 'nan' is not a finite number"),
        (
            ["file,furry", "a,1", "b,1", "c,"],
            "column 'furry': '1' in all 2 rows with a value, line 2 to line 3; a constant",
        ),
        (["file,colour", "a,red", "b,red"], "column 'colour': 'red' in all 2 rows"),
        (["file,size", "a,2.5", "b,2.50"], "column 'size': '2.5' in all 2 rows"),
        (["file,furry,x", "a,1,", "b,0,"], "said.csv, column 'x': no row has a value"),
        (["file,x,y", "a,1,1", "b,0,0", "c,,"], "column 'y': concept 'y' is the same as 'x' in every row"),
        (["file,x,y", "a,1,hot", "b,0,cold"], "column 'y': concept 'y: hot' is the same as 'x' in every row"),
        (["file,x,x: a", "a,a,1", "b,b,0"], "column 'x: a': concept 'x: a' is also in .*column 'x'"),
        (["file,wing,wing::bar", "a,a,1", "b,b,1", "c,b,0"], "said.csv: concept group 'wing' is categorical"),
        (["file;furry", "a;1"], "said.csv, line 1: cells are separated by ';'"),
        (["file,furry"], "said.csv has a header but no rows"),
        ([""], "said.csv is empty"),
    ],
)
def test_slips(read, lines, words):
    with pytest.raises(ValueError, match=words):
        read(*lines)


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ({"fury": "binary"}, "data.concept_kinds: no concept column 'fury', did you mean furry"),
        (
            {"furry": "boolean"},
            "data.concept_kinds.furry is 'boolean'; expected one of binary, categorical, continuous",
        ),
        ({"colour": "continuous"}, "said.csv, line 2, column 'colour': 'red' is not a finite number"),
        ({"size": "binary"}, "said.csv, line 3, column 'size': '4' is not 0, 1, yes, no, true or false"),
    ],
)
def test_wrong_kinds(read, kinds, words):
    with pytest.raises(ValueError, match=words):
        read("file,furry,colour,size", "a,1,red,1", "b,0,blue,4", kinds=kinds)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match="gone.csv is missing; it was given as data.concepts_file"):
        read_concepts(tmp_path / "gone.csv", ["a"])
    (tmp_path / "latin.csv").write_bytes(b"file,x\na,1\nb,\xe9\n")
    with pytest.raises(ValueError, match="latin.csv, line 3: not utf-8 text"):
        read_concepts(tmp_path / "latin.csv", ["a", "b"])


# Beside a folder of images: twenty of them, ten of each class.


def folder(root, concept_csv, **args):
    return create_data("folder", root=str(root), concepts_file=str(concept_csv), size=8, **args)


@pytest.fixture
def concept_csv(tmp_path):
    lines = [f"{key},{i % 2},{i},{'red' if i % 3 else 'blue'}" for i, key in enumerate(KEYS)]
    del lines[5]  # cat/5.png
    file = tmp_path / "said.csv"
    file.write_text("\n".join(["file,odd,place,colour", *lines]) + "\n")
    return file


def test_concepts_of_a_folder(user_folder, concept_csv):
    data = folder(user_folder[0], concept_csv)
    assert data.concept_names == ("odd", "place", "colour: blue", "colour: red")
    by_name = {}
    for name, split in data.splits.items():
        assert torch.equal(torch.cat([b.concepts for b in data.loader(name)]).isnan(), split.concepts.isnan())
        by_name |= dict(zip(split.names, split.concepts, strict=True))
    assert sorted(by_name) == KEYS
    for i, key in enumerate(KEYS):
        expected = [i % 2, i, i % 3 == 0, i % 3 > 0] if i != 5 else [math.nan] * 4
        torch.testing.assert_close(by_name[key], torch.tensor(expected, dtype=torch.float32), equal_nan=True)
    place, train = data.concepts.concepts[1], data.splits["train"].concepts[:, 1]
    known = [v for v in train.tolist() if not math.isnan(v)]
    mean = sum(known) / len(known)
    assert place.mean == pytest.approx(mean)
    assert place.std == pytest.approx((sum((v - mean) ** 2 for v in known) / len(known)) ** 0.5)
    assert data.fingerprint() != create_data("folder", root=str(user_folder[0]), size=8).fingerprint()
    assert create_data("folder", root=str(user_folder[0]), size=8).concepts is None
    chosen = folder(user_folder[0], concept_csv, concept_kinds={"place": "categorical"})
    assert len(chosen.concepts) == 3 + 19


def test_concepts_of_a_divided_folder(user_folder, tmp_path):
    root = tmp_path / "divided"
    for part in ("train", "test"):
        (root / part).parent.mkdir(exist_ok=True)
        (root / part).symlink_to(user_folder[0])
    file = tmp_path / "two.csv"
    file.write_text("file,x\n./train/cat/0.png,1\ntrain/dog/0.png,0\ntest/cat/1.png,1\n")
    data = folder(root, file, val=0.0)
    known = {n: s.names[i] for n, s in data.splits.items() for i in (~s.concepts[:, 0].isnan()).nonzero()[:, 0]}
    assert known == {"train": "train/dog/0.png", "test": "test/cat/1.png"}
    assert int((~data.splits["train"].concepts.isnan()).sum()) == 2


def test_slips_of_a_folder(user_folder, concept_csv):
    root, _ = user_folder
    concept_csv.write_text(concept_csv.read_text() + "cat/77.png,1,3,red\n")
    with pytest.raises(
        ValueError, match="said.csv, line 21, column 'file': no sample 'cat/77.png', did you mean cat/7.png"
    ):
        folder(root, concept_csv).setup()
    with pytest.raises(ValueError, match="data.concept_kinds is given without data.concepts_file"):
        create_data("folder", root=str(root), concept_kinds={"a": "binary"})
    with pytest.raises(ValueError, match="gone.csv is missing; it was given as data.concepts_file"):
        folder(root, root / "gone.csv").setup()
