"""A user's CSV as a source of data: what is read, what is refused, and a model trained on it."""

import math

import pytest
import torch

from zoo.data import create_data

N = 60


def line(i):
    """One of 60 rows: two words and two concepts, three numbers, the class by two of them."""
    a, b = i % 7, (i * 5) % 11
    return [f"s{i:02d}", "uv"[i % 2], a, b / 2, -i, int(a > 2), "big" if b > 7 else "mid" if b > 3 else "small", i % 3]


HEAD = ["name", "maker", "a", "b, cm", "c", "high", "size", "kind"]
ARGS = {"target": "kind", "features": ["a", "b, cm", "c"], "concept_columns": ["high", "size"], "id": "name"}


@pytest.fixture
def write(tmp_path):
    """Writes rows as a CSV file, all quoted."""

    def to(name, rows):
        file = tmp_path / name
        file.write_text("\n".join(",".join(f'"{cell}"' for cell in row) for row in rows) + "\n", encoding="utf-8")
        return str(file)

    return to


@pytest.fixture
def file(write):
    return write("mine.csv", [HEAD, *map(line, range(N))])


def test_what_is_read(file):
    data = create_data("table", file=file, **ARGS)
    assert data.feature_names == ("a", "b, cm", "c")
    assert (data.class_names, data.input_shape) == (("0", "1", "2"), (3,))
    assert data.concept_names == ("high", "size: big", "size: mid", "size: small")
    assert [len(data.splits[s]) for s in ("train", "val", "test")] == [42, 6, 12]
    names = []
    for name, split in data.splits.items():
        assert sorted(set(torch.bincount(split.y).tolist())) == [len(split) // 3]
        batch = next(iter(data.loader(name, batch_size=N)))
        torch.testing.assert_close(data.values(batch.x), split.x, atol=1e-5, rtol=0)
        for i, sample in enumerate(split.names):
            cells = line(int(sample[1:]))
            assert split.x[i].tolist() == cells[2:5]
            assert int(split.y[i]) == cells[7]
            expected = [cells[5], *(cells[6] == level for level in ("big", "mid", "small"))]
            assert batch.concepts[i].tolist() == expected
        names += split.names
    assert sorted(names) == [line(i)[0] for i in range(N)]


def test_the_rest_of_the_columns_are_features(file):
    data = create_data("table", file=file, target="maker")  # name and c name the rows
    assert data.feature_names[:4] == ("a", "b, cm", "c", "high")
    assert set(data.feature_names[4:]) == {"size=big", "size=mid", "size=small", "kind"}
    assert [name for name, _ in data.inputs.schema.left_out] == ["name"]
    assert [note.split(":")[0] for note in data.inputs.schema.notes if "identifier" in note] == [
        "c may be an identifier"
    ]
    assert data.class_names == ("u", "v")
    assert data.concepts is None
    assert {data.name_of(s, i) for s in data.splits for i in range(len(data.splits[s]))} == {
        f"row {i + 1}" for i in range(N)
    }


def test_the_test_split_stays_when_the_seed_changes(file):
    one, two = (create_data("table", file=file, seed=seed, **ARGS) for seed in (0, 1))
    assert one.splits["test"].names == two.splits["test"].names
    assert one.splits["val"].names != two.splits["val"].names
    assert one.fingerprint() == create_data("table", file=file, **ARGS).fingerprint() != two.fingerprint()


def test_a_given_division(write):
    parts = ["train", "test", "train", "val"]
    rows = [[*line(i), parts[i // 3 % 4]] for i in range(N)]
    data = create_data("table", file=write("s.csv", [[*HEAD, "part"], *rows]), split="part", **ARGS)
    assert {name: sorted(split.names) for name, split in data.splits.items()} == {
        part: [f"s{i:02d}" for i in range(N) if parts[i // 3 % 4] == part] for part in ("train", "val", "test")
    }
    assert "part" not in data.feature_names
    train = [row[4] for row in rows if row[8] == "train"]
    assert data.inputs.schema.columns[2].mean == pytest.approx(sum(train) / len(train))


def test_concepts_beside_the_table(file, write):
    further = write("said.csv", [["name", "wild", "weight"], *([f"s{i:02d}", i % 5 < 2, i / 4] for i in range(1, N))])
    data = create_data("table", file=file, concepts_file=further, **ARGS)
    assert data.concept_names[-2:] == ("wild", "weight")
    assert "mine.csv, said.csv" in data.concepts.provenance
    train = data.splits["train"]
    place = data.concepts.concepts[-1]
    weights = torch.tensor([int(n[1:]) / 4 for n in train.names if n != "s00"], dtype=torch.float64)
    assert (place.mean, place.std) == pytest.approx((float(weights.mean()), float(weights.std(correction=0))))
    for split in data.splits.values():
        for name, row in zip(split.names, split.concepts.tolist(), strict=True):
            i = int(name[1:])
            assert row[-2:] == [i % 5 < 2, i / 4] if i else all(map(math.isnan, row[-2:]))
    numbered = write("numbered.csv", [["row", "wild"], [1, "no"], [60, "yes"]])
    args = {k: v for k, v in ARGS.items() if k != "id"}
    data = create_data("table", file=file, concepts_file=numbered, **args)
    known = {
        s.names[i]: s.concepts[i, -1].item()
        for s in data.splits.values()
        for i in (~s.concepts[:, -1].isnan()).nonzero()[:, 0]
    }
    assert known == {"row 1": 0, "row 60": 1}
    with pytest.raises(ValueError, match="numbered.csv: the first column is 'row'; expected 'name'"):
        create_data("table", file=file, concepts_file=numbered, **ARGS).setup()
    same = write("same.csv", [["name", "high"], ["s01", 1], ["s02", 0]])
    with pytest.raises(ValueError, match="same.csv, column 'high': concept 'high' is also in .*mine.csv"):
        create_data("table", file=file, concepts_file=same, **ARGS).setup()


@pytest.mark.parametrize(
    ("row", "column", "cell", "words"),
    [
        (4, "a", "many", "mine.csv, line 6, column 'a': 'many' is not a number, unlike most cells of the column"),
        (0, "c", "inf", "mine.csv, line 2, column 'c': 'inf' is not a number"),
        (0, "c", "1e39", "mine.csv, line 2, column 'c': '1e39' is not a number"),
        (9, "kind", "", r"mine.csv, column 'kind': 1 of 60 targets are missing \(lines 11\)"),
        (9, "kind", "1.5", "mine.csv, line 11, column 'kind': '1.5' is no class; expected words or whole numbers"),
        (9, "kind", "7", "mine.csv, line 11, column 'kind': the only row of class '7'"),
        (9, "name", "s03", "mine.csv, line 11, column 'name': 's03' is already in line 5"),
        (9, "name", "", "mine.csv, line 11, column 'name': the cell is empty"),
        (9, "high", "2,5", "mine.csv, line 11, column 'high': '2,5' is a word, '0' in line 2 a number"),
        (3, "size", "7", "mine.csv, line 2, column 'size': 'small' is a word, '7' in line 5 a number"),
        (-1, "a", "c", "mine.csv, line 1: column 'c' occurs twice, at 3 and 5"),
        (-1, "kind", "kinds", r"mine.csv has no column 'kind' \(data.target\), did you mean kinds"),
        (-1, "a", "aa", r"mine.csv has no column 'a' \(data.features\)"),
        (-1, "size", "sizes", r"mine.csv has no column 'size' \(data.concept_columns\), did you mean sizes"),
        (-1, "name", "names", r"mine.csv has no column 'name' \(data.id\), did you mean names"),
    ],
)
def test_slips(write, row, column, cell, words):
    rows = [list(HEAD), *map(line, range(N))]
    rows[row + 1][HEAD.index(column)] = cell
    with pytest.raises(ValueError, match=words):
        create_data("table", file=write("mine.csv", rows), **ARGS).setup()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": 3}, """no column 3 .data.target.: YAML reads an unquoted 3 as 3; quote it"""),
        ({"target": {"y": 1}}, "data.target is {'y': 1}; expected the name of a column, or a list of names"),
        ({"target": [["y"]]}, "data.target is ..'y'..; expected the name of a column, or a list of names"),
        ({"features": ["a", "kind"]}, "column 'kind' is in data.target and in data.features; give it one role"),
        ({"features": ["a", "high"]}, "column 'high' is in data.concept_columns and in data.features"),
        ({"features": ["a", "a"]}, "column 'a' is in data.features and in data.features"),
        ({"concept_columns": ["name"]}, "column 'name' is in data.id and in data.concept_columns"),
        ({"features": ["a", "maker"], "kinds": {"maker": "number"}}, "line 2, column 'maker': 'u' is not a number"),
        ({"kinds": {"a": "numbre"}}, "data.kinds.a is 'numbre'; expected one of number, category"),
        ({"kinds": {"aa": "number"}}, r"has no column 'aa' \(data.kinds\), did you mean a"),
        ({"missing_policy": "ignore"}, "data.missing_policy is 'ignore'; expected indicator or refuse"),
        ({"features": []}, "data.features is empty"),
        ({"split": "maker"}, "line 2, column 'maker': 'u' is not a split; expected train, val or test"),
        ({"concept_columns": None, "concept_kinds": {"a": "binary"}}, "concept_kinds is given without"),
        ({"concept_kinds": {"hihg": "binary"}}, "no concept column 'hihg', did you mean high"),
        ({"file": "gone.csv"}, "gone.csv is missing; it was given as data.file"),
    ],
)
def test_wrong_arguments(file, change, words):
    with pytest.raises(ValueError, match=words):
        create_data("table", **{"file": file, **ARGS, **change}).setup()


def test_tables_that_say_too_little(write):
    few = [["x", "y", "part"], [1, "a", "train"], [2, "a", "test"], [3, "b", "test"], [4, "b", "test"]]
    file = write("few.csv", few)
    with pytest.raises(ValueError, match="line 4, column 'y': no row of class 'b' is in train"):
        create_data("table", file=file, target="y", split="part").setup()
    with pytest.raises(ValueError, match="few.csv: 4 rows are too few for a test split of a fifth"):
        create_data("table", file=file, target="y").setup()
    one = write("one.csv", [["x", "y"], *([i, "ab"[i % 2]] for i in range(20))])
    with pytest.raises(ValueError, match="one.csv has no column for the inputs .it has only the target"):
        create_data("table", file=one, target="y", id="x").setup()
    few[2][2] = few[3][2] = "tset"
    with pytest.raises(ValueError, match="line 3, column 'part': 'tset' is not a split, did you mean test"):
        create_data("table", file=write("few.csv", few), target="y", split="part").setup()
    for i in (1, 2, 3, 4):
        few[i][2] = "train"
    with pytest.raises(ValueError, match="column 'part': no row has 'test'"):
        create_data("table", file=write("few.csv", few), target="y", split="part").setup()
    for i in (1, 2, 3, 4):
        few[i][1] = "a"
    with pytest.raises(ValueError, match="column 'y': 'a' in every row; expected two classes or more"):
        create_data("table", file=write("few.csv", few), target="y").setup()
    (empty := write("empty.csv", [[]]),)
    with pytest.raises(ValueError, match="empty.csv is empty"):
        create_data("table", file=empty, target="y").setup()


def test_a_bottleneck_on_a_csv(write, tmp_path):
    """Three features, two concepts and a target: x0 and x1 say the concepts, both together the class."""
    from zoo.training.phases import run_phases
    from zoo.training.run import build, load_config

    g = torch.Generator().manual_seed(0)
    x = torch.randn(400, 3, generator=g) * torch.tensor([1.0, 10, 100]) + torch.tensor([0.0, 50, 0])
    rows = [
        [*v, int(v[0] > 0), "hot" if v[1] > 50 else "cold", "yes" if v[0] > 0 and v[1] > 50 else "no"]
        for v in x.tolist()
    ]
    table = write("made.csv", [["x0", "x1", "x2", "up", "heat", "answer"], *rows])
    file = tmp_path / "mine.yaml"
    file.write_text(f"""\
model: {{name: cbm, num_classes: 2, backbone: mlp, backbone_args: {{hidden: [32]}}, mode: independent}}
data: {{name: table, file: "{table}", target: answer, concept_columns: [up, heat], batch_size: 64}}
phases:
  concepts: {{epochs: 15, lr: {{backbone: 2e-2, concepts: 2e-2}}, loss: {{task: 0, concept: 1}}}}
  measure: {{then: calibrate}}
  head: {{then: {{fit_head: {{l1: 0, l2: 1e-3}}}}}}
trainer: {{accelerator: cpu}}
seed: 0
""")
    model, data = build(load_config(str(file)))
    assert model.schema.names == ("up", "heat: cold", "heat: hot")
    run_phases(model, data, load_config(str(file)), tmp_path / "run", progress=False)
    model.eval()
    batch = next(iter(data.loader("test", batch_size=400)))
    with torch.no_grad():
        right = (model(batch.x).argmax(1) == batch.y).float().mean()
        assert right > 0.9 > (batch.y == 0).float().mean()
        one = data.read_input("x0=2,x1=70,x2=0")[None]
        assert data.class_names[int(model(one).argmax())] == "yes"
        assert data.class_names[int(model.intervene(one, {0: 0.0}).argmax())] == "no"
