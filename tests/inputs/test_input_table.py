"""Tables: strict kinds, nothing dropped silently, other tables matched by name, what was fitted never fitted again."""

import numpy as np
import pandas as pd
import pytest
import torch

from zoo.inputs import base
from zoo.inputs.table import TableInputs
from zoo.inputs.tables.cells import Cells
from zoo.inputs.tables.columns import Column
from zoo.inputs.tables.schema import TableSchema
from zoo.inputs.tables.table_reader import read_cells, read_table


def fit(data, target="y", **arguments):
    return TableInputs.fit(data, target=target, **arguments)


def lines(inputs):
    return {line.split(":")[0]: line for line in inputs.describe()}


def with_y(**columns):
    n = len(next(iter(columns.values())))
    return {**columns, "y": ["a", "b"] * (n // 2) + ["a"] * (n % 2)}


@pytest.fixture(scope="module")
def trained(cases):
    return fit(cases / "table" / "a.csv", "state")


def test_means_are_the_models(trained, cases):
    a, shifted = (pd.read_csv(cases / "table" / f"{name}.csv") for name in ("a", "same_shift"))
    names = ["age", "dose", "bmi"]
    expected = (shifted[names] - a[names].mean()) / a[names].std(ddof=0)
    batch = trained.read(cases / "table" / "same_shift.csv")
    np.testing.assert_allclose(batch.x.numpy(), expected.to_numpy(), rtol=1e-5, atol=1e-5)
    assert batch.y.tolist() == [["ill", "well"].index(s) for s in shifted.state]
    assert batch.x[:, 0].mean() > 1  # the population is older, and is read as such


def test_order_of_columns_never_matters(trained, cases):
    reordered = pd.read_csv(cases / "table" / "reordered.csv")
    direct = trained.read(reordered[["age", "dose", "bmi", "state"]])
    batch = trained.read(cases / "table" / "reordered.csv")
    torch.testing.assert_close(batch.x, direct.x)
    assert batch.y.equal(direct.y)


def test_renamed_class_is_refused_with_both_names(trained, cases):
    with pytest.raises(ValueError, match=r"renamed.csv, line 4, column 'state': .*perhaps renamed: 'well' to 'a_well'"):
        trained.read(cases / "table" / "renamed.csv")
    with pytest.raises(ValueError, match="'a_well'"):
        trained.check(cases / "table" / "renamed.csv")
    assert trained.read(cases / "table" / "renamed.csv", labels=False).y is None


def test_additional_columns_are_ignored_with_a_note(trained, cases):
    with pytest.warns(UserWarning, match="columns that are no inputs were ignored: split"):
        scored = trained.read(cases / "table" / "ext.csv")
    shifted = trained.read(cases / "table" / "same_shift.csv")
    torch.testing.assert_close(scored.x, shifted.x)
    unlabelled = pd.read_csv(cases / "table" / "ext.csv").drop(columns=["state", "split"])
    assert trained.read(unlabelled).y is None
    torch.testing.assert_close(trained.read(unlabelled).x, shifted.x)
    with pytest.raises(ValueError, match=r"has no column 'state' \(data.target\)"):
        trained.read(unlabelled, labels=True)


def test_a_missing_column_is_refused_by_name(trained):
    with pytest.raises(ValueError, match=r"missing 'bmi'; additional 'BMI'; perhaps renamed: 'bmi' to 'BMI'"):
        trained.read({"age": 58, "dose": 5, "BMI": 26})
    with pytest.raises(ValueError, match=r"missing 'dose', 'bmi'"):
        trained.read({"age": 58})


def test_one_row_of_text(trained, cases):
    a = pd.read_csv(cases / "table" / "a.csv")[["age", "dose", "bmi"]]
    expected = (np.array([58, 5, 26]) - a.mean().to_numpy()) / a.std(ddof=0).to_numpy()
    np.testing.assert_allclose(trained.read("bmi=26, age=58,dose=5").x[0].numpy(), expected, rtol=1e-5)
    for text, message in {
        "age=58,dose=5": "column 'bmi' is missing",
        "age=58,dose=5,bim=2": "'bim' is no column, did you mean bmi",
        "age=58,age=5,bmi=2": "column 'age' is given twice",
        "age=58,dose=x,bmi=2": "column 'dose': 'x' is no finite number",
    }.items():
        with pytest.raises(ValueError, match=message):
            trained.read(text)


def test_show_and_set(trained):
    x = trained.read({"age": [58, 30], "dose": [5, 6.25], "bmi": [26, 20]}).x
    assert trained.show(x)[1] == [("age", "30"), ("dose", "6.25"), ("bmi", "20")]
    changed = trained.set(x, {"age": "41.5"})
    assert trained.show(changed) == [
        [("age", "41.5"), ("dose", "5"), ("bmi", "26")],
        [("age", "41.5"), ("dose", "6.25"), ("bmi", "20")],
    ]
    assert changed[:, 1:].equal(x[:, 1:])
    with pytest.raises(ValueError, match="no column 'agee', did you mean age"):
        trained.set(x, {"agee": 3})


def test_saved_and_loaded(trained, cases, tmp_path):
    base.save(trained, tmp_path)
    loaded = base.load(tmp_path)
    file = cases / "table" / "same_shift.csv"
    assert loaded.read(file).x.equal(trained.read(file).x)
    assert loaded.class_names == ("ill", "well")
    assert loaded.to_config() == trained.to_config()
    assert loaded.describe() == trained.describe()


@pytest.mark.parametrize(
    ("name", "column", "kind", "first"),
    [
        ("x6", "a", "number", 2.041),
        ("x7", "b", "number", 16),
        ("x8", "sex", "category", "M"),
        ("x8c", "smoker", "boolean", "True"),
    ],
)
def test_cells_that_once_vanished(cases, name, column, kind, first):
    file = cases / "csv" / f"{name}.csv"
    inputs = fit(file, "state")
    place = inputs.schema.names.index(column)
    fitted = inputs.schema.columns[place]
    assert fitted.kind == kind
    value = inputs.schema.read(read_table(file)).values[0, place]
    assert (fitted.levels[int(value)] if kind != "number" else value) == first
    assert len(inputs.schema.names) == 2
    assert not inputs.schema.left_out


def test_a_number_that_can_be_read_in_two_ways_is_refused_until_declared(cases):
    file = cases / "csv" / "x7b.csv"
    with pytest.raises(ValueError, match=r"x7b.csv, line 2, column 'b': '17,390' may be 17390 or 17.39; declare"):
        fit(file, "state")
    thousands, decimal = fit(file, "state", thousands=","), fit(file, "state", decimal=",")
    assert thousands.schema.columns[1].median == pytest.approx(1000 * decimal.schema.columns[1].median)
    assert thousands.schema.columns[0].median == decimal.schema.columns[0].median  # whose point is a decimal mark
    torch.testing.assert_close(thousands.read(file).x, decimal.read(file).x)


def test_columns_named_like_words_of_yaml(cases, tmp_path):
    inputs = fit(cases / "csv" / "no.csv", "state")
    assert inputs.schema.names == ("a", "b", "NO", "NO2")
    base.save(inputs, tmp_path)
    assert base.load(tmp_path).schema.names == ("a", "b", "NO", "NO2")
    with pytest.raises(ValueError, match=r"YAML reads an unquoted NO as False; quote it"):
        fit(cases / "csv" / "no.csv", "state", features=[False, "NO2"])


def test_codes_are_pointed_out(cases):
    notes = fit(cases / "csv" / "y2.csv", "state").schema.notes
    assert notes == (
        "fever holds 3 different whole numbers (0, 1, 2, ...); if they are codes, declare data.kinds={fever: category}",
    )


KINDS = {
    "number": [1.5, 2, 3] * 10,
    "category": ["r", "g", "g"] * 10,
    "boolean": ["yes", "No", "no"] * 10,
    "date": ["2020-01-31", "2020-02-01", "2021-01-01"] * 10,
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind):
    inputs = fit(with_y(c=[str(cell) for cell in KINDS[kind]]))
    assert inputs.schema.columns[0].kind == kind
    typed = pd.DataFrame(with_y(c=KINDS[kind]))
    if kind == "date":
        typed["c"] = pd.to_datetime(typed["c"])
    assert fit(typed).read(typed).x.equal(inputs.read(with_y(c=[str(cell) for cell in KINDS[kind]])).x)


def test_booleans_in_other_words():
    inputs = fit(with_y(c=["TRUE", "True", "false", "FALSE"] * 5))
    assert inputs.schema.columns[0].levels == ("false", "TRUE")
    x = inputs.read({"c": ["1", "0", "true", "False"]}).x[:, 0]
    assert (x > 0).tolist() == [True, False, True, False]
    assert inputs.read(pd.DataFrame({"c": [True, False]})).x[:, 0].tolist() == x[:2].tolist()
    with pytest.warns(UserWarning, match="'maybe' is no level of the training data; read as other"):
        assert inputs.read({"c": ["maybe"]}).x[0, 0] == 0  # an average row


def test_letters_are_no_truth_words_unless_they_are_a_pair():
    assert fit(with_y(c=["f", "n"] * 5)).schema.columns[0].kind == "category"
    assert fit(with_y(c=["n", "y"] * 5 + ["n", "n"])).schema.columns[0].kind == "boolean"


def test_ordinals_by_declaration():
    data = with_y(c=["low", "high", "mid", "low"] * 5)
    inputs = fit(data, levels={"c": ["low", "mid", "high"]}, kinds={"c": "ordinal"})
    values = inputs.encoding.decode(inputs.read(data).x)[:4, 0]
    assert values.tolist() == [0, 2, 1, 0]
    with pytest.raises(ValueError, match="'mid' is none of the levels low, high"):
        fit(data, levels={"c": ["low", "high"]}, kinds={"c": "ordinal"})
    with pytest.raises(ValueError, match="give its levels in order in data.levels"):
        fit(data, kinds={"c": "ordinal"})


def test_units_are_refused_until_declared():
    data = with_y(c=["12 mg", "3.5 mg", "7mg", "1 mg"])
    with pytest.raises(ValueError, match=r"row 1, column 'c': '12 mg' is a number with the unit 'mg'; .*data.units"):
        fit(data)
    column = fit(data, units={"c": "mg"}).schema.columns[0]
    assert (column.quantiles[0], column.quantiles[-1]) == (1, 12)
    assert column.show(3.5) == "3.5 mg"


def test_a_stray_word_among_numbers_is_refused_not_dropped():
    cells = [str(i) for i in range(30)]
    cells[17] = "abc"
    with pytest.raises(ValueError, match=r"row 18, column 'c': 'abc' is not a number, unlike most cells of the column"):
        fit(with_y(c=cells))
    assert fit(with_y(c=cells), missing=["", "abc"]).schema.columns[0].missing == 1
    few = [str(i % 7) for i in range(30)]
    few[3] = "many"
    with pytest.raises(ValueError, match="'many' is not a number"):
        fit(with_y(c=few))
    assert fit(with_y(c=["1", "2", "3+"] * 10)).schema.columns[0].kind == "category"
    inf = [*cells[:17], "inf", *cells[18:]]
    with pytest.raises(ValueError, match="'inf' is not a number"):
        fit(with_y(c=inf))


def test_identifiers_texts_and_constants_are_left_out_and_named():
    n = 40
    rng = np.random.default_rng(0)
    data = with_y(
        row=[str(i) for i in range(100, 100 + n)],
        name=[f"person {i}" for i in range(n)],
        same=["x"] * n,
        empty=["", "NA"] * (n // 2),
        v=[str(v) for v in rng.normal(size=n).round(3)],
    )
    inputs = fit(data)
    assert inputs.schema.names == ("row", "v")
    counter = "row may be an identifier: whole numbers from 100 to 139 in the order of the rows; leave it out by naming"
    assert [note for note in inputs.schema.notes if note.startswith(counter)]
    reasons = dict(inputs.schema.left_out)
    assert reasons == {
        "name": "an identifier or free text: 40 different texts in 40 rows",
        "same": "the same in every training row: 'x'",
        "empty": "no training row has a value",
    }
    for name, reason in reasons.items():
        assert f"{name}: left out, {reason}" in inputs.describe()
    training_rows = [i for i in range(n) if i % 4]  # the training rows of a counter have gaps
    assert (
        fit({key: [column[i] for i in training_rows] for key, column in data.items()})
        .schema.notes[0]
        .startswith("row may be")
    )
    shuffled = [str(i) for i in rng.permutation(n)]  # a quantity that happens to have no gaps
    assert not fit({**data, "row": shuffled}).schema.notes
    with pytest.raises(ValueError, match="column 'same': the same in every training row: 'x'; take it out"):
        fit(data, features=["same", "v"])
    with pytest.raises(ValueError, match="has no column for the inputs .*name: an identifier"):
        fit({key: data[key] for key in ("name", "y")})


def test_missing_cells():
    cells = ["1", "", "3", "NA", "5", "?", "NaN", "null", "10", "7"]
    data = with_y(c=cells, k=["u", "v", "", "u", "NA", "u", "v", "u", "u", "?"])
    inputs = fit(data)
    number, category = inputs.schema.columns
    assert (number.missing, category.missing) == (5, 3)
    assert number.median == 5
    assert inputs.feature_names == ("c", "c is missing", "k=u", "k=v", "k=(missing)")
    x = inputs.read(data).x
    median = (5 - np.mean([1, 3, 5, 10, 7])) / np.std([1, 3, 5, 10, 7])
    np.testing.assert_allclose(x[1, :2].numpy(), [median, 1], rtol=1e-6)
    assert x[0, 1:].tolist() == [0, 1, 0, 0]
    assert x[2, 2:].tolist() == [0, 0, 1]
    assert inputs.show(x)[1] == [("c", "(missing)"), ("k", "v")]
    assert "5 of 10 missing: indicator and median" in lines(inputs)["c"]
    assert "3 of 10 missing: a level of their own" in lines(inputs)["k"]
    with pytest.raises(ValueError, match="row 2, column 'c': the cell is missing, and data.missing_policy is refuse"):
        fit(data, missing_policy={"c": "refuse"})


def test_cells_that_were_never_missing_in_training():
    inputs = fit(with_y(c=["1", "2", "9", "4"], k=["u", "v", "u", "u"]))
    assert inputs.feature_names == ("c", "k=u", "k=v")
    reading = next(inputs.scan({"c": ["", "2"], "k": ["u", ""]}))
    assert [str(flag) for flag in reading.flags] == [
        "row 1, column 'c': the cell is missing, which it never was in the training data; read as the median",
        "row 2, column 'k': the cell is missing, which it never was in the training data; read as an average row",
    ]
    assert reading.x[0, 0] == pytest.approx((3 - 4) / np.std([1, 2, 9, 4]))
    assert reading.x[1, 1:].tolist() == [0.75, 0.25]
    with pytest.raises(ValueError, match="row 1, column 'c': the cell is missing"):
        inputs.read({"c": ["", "2"], "k": ["u", ""]}, strict=True)
    refusing = fit(with_y(c=["1", "2", "9", "4"]), missing_policy="refuse")
    with pytest.raises(ValueError, match="row 2, column 'c': the cell is missing; fill it in"):
        refusing.read({"c": ["1", ""]})


def test_unknown_levels_are_other_and_flagged():
    frequent = ["u"] * 600 + ["v"] * 590
    inputs = fit(with_y(k=frequent + [f"rare {i}" for i in range(10)]))
    column = inputs.schema.columns[0]
    assert (column.levels, column.counts, column.other) == (("u", "v"), (600, 590), 10)
    assert inputs.feature_names == ("k=u", "k=v", "k=(other)")
    reading = next(inputs.scan({"k": ["v", "U", "rare 3"]}))
    assert reading.x.tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 1]]
    assert [flag.row for flag in reading.flags] == ["row 2", "row 3"]
    assert "'U' is no level of the training data; read as other" in str(reading.flags[0])
    assert inputs.show(reading.x) == [[("k", "v")], [("k", "(other)")], [("k", "(other)")]]
    with pytest.raises(ValueError, match="row 2, column 'k': 'U' is no level"):
        list(inputs.scan({"k": ["v", "U"]}, strict=True))
    with pytest.raises(ValueError, match="has no level 'w'; it is one of u, v"):
        inputs.set(reading.x, {"k": "w"})


def test_levels_follow_the_rule_of_labels():
    inputs = fit(with_y(k=["01", "02", "1", "x"] * 5))
    assert inputs.schema.columns[0].levels == ("01", "02", "x")
    assert inputs.schema.columns[0].counts == (10, 5, 5)
    assert inputs.read({"k": ["1.0"]}).x[0].tolist() == [1, 0, 0]


def test_bad_cells_are_refused_or_skipped_and_listed(trained, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text('bmi,age,dose\n20,50,5\n21,fifty,5\n\n22,60\n23,70,"1,5"\n24,80,6\n')
    with pytest.raises(ValueError, match="line 5: 2 cells where the header has 3"):
        trained.read(path)
    reading = base.concatenate(list(trained.scan(path, skip=True)))
    assert reading.rows == ("line 2", "line 7")
    assert reading.position.tolist() == [0, 3]
    assert sorted(flag.row for flag in reading.skipped) == ["line 3", "line 5", "line 6"]
    assert len(reading.x) == 2
    path.write_text("bmi,age,dose\n20,50,5\n21,fifty,5\n")
    with pytest.raises(ValueError, match=r"new.csv, line 3, column 'age': 'fifty' is no finite number; correct it"):
        trained.read(path)
    path.write_text('bmi,age,dose\n20,50,"1,5"\n')
    with pytest.raises(ValueError, match=r"line 2, column 'dose': '1,5' is no finite number"):
        trained.read(path)


def test_the_notation_is_the_models(cases):
    inputs = fit(cases / "csv" / "x6.csv", "state")
    assert inputs.schema.columns[0].parse(np.array(["2,041"], object), frozenset())[0][0] == 2.041
    with pytest.raises(ValueError, match=r"column 'a': '2.041' is no finite number \(decimal comma\)"):
        inputs.read({"a": ["2.041"], "b": ["1"]})
    assert inputs.read({"a": [2.041], "b": [1.0]}).x.equal(inputs.read({"a": ["2,041"], "b": ["1"]}).x)


def test_streaming_equals_reading_at_once(trained, cases, monkeypatch):
    file = cases / "table" / "a.csv"
    whole = trained.read(file)
    monkeypatch.setattr("zoo.inputs.table.CHUNK", 7)
    readings = list(trained.scan(file))
    assert len(readings) > 20
    joined = base.concatenate(readings)
    assert joined.x.equal(whole.x)
    assert joined.position.tolist() == list(range(300))
    assert joined.rows[-1] == "line 301"


def test_notes_come_once(trained, cases, monkeypatch):
    monkeypatch.setattr("zoo.inputs.table.CHUNK", 50)
    readings = list(trained.scan(cases / "table" / "ext.csv"))
    assert len(readings) > 3
    assert [len(reading.notes) for reading in readings] == [1, *[0] * (len(readings) - 1)]


def test_targets():
    v = [float(i) ** 1.5 for i in range(12)]
    number = fit({"v": v, "t": [i / 7 for i in range(12)]}, "t")
    assert number.schema.target.kind == "number"
    assert number.class_names == ()
    y = number.read({"v": [1.0], "t": [0.25]}).y
    assert y.dtype == torch.float32
    assert y.tolist() == [0.25]
    assert number.schema.target.mean == pytest.approx(np.mean([i / 7 for i in range(12)]))
    whole = fit({"v": v, "t": ["02", "1", "1.0", "10"] * 3}, "t")
    assert whole.class_names == ("1", "2", "10")
    assert whole.schema.target.counts == (6, 3, 3)
    assert whole.read({"v": [1.0, 2.0], "t": [10, 2]}).y.tolist() == [2, 1]
    labels = fit({"v": v, "p": [0, 1] * 6, "q": ["yes", "no", "no"] * 4}, ["p", "q"])
    assert labels.schema.target.kind == "labels"
    assert labels.read({"v": [1.0], "p": ["1"], "q": ["no"]}).y.tolist() == [[1.0, 0.0]]


def test_targets_that_are_refused():
    v = [float(i) ** 1.5 for i in range(30)]
    with pytest.raises(ValueError, match=r"column 't': 2 of 30 targets are missing \(rows 4, 6\)"):
        fit({"v": v, "t": ["a", "b", "a", "", "a", "NA"] + ["b"] * 24}, "t")
    with pytest.raises(ValueError, match="'a' in every row; expected two classes or more"):
        fit({"v": v, "t": ["a"] * 30}, "t")
    with pytest.raises(ValueError, match="30 different whole numbers, which may be classes or a quantity; declare"):
        fit({"v": v, "t": list(range(30))}, "t")
    assert fit({"v": v, "t": list(range(30))}, "t", task="regression").schema.target.kind == "number"
    assert len(fit({"v": v, "t": list(range(30))}, "t", task="classification").class_names) == 30
    with pytest.raises(ValueError, match="has no column 'tt' .*did you mean t"):
        fit({"v": v, "t": list(range(30))}, "tt")
    with pytest.raises(ValueError, match="row 2, column 't': '1.5' is no class; expected words or whole numbers"):
        fit({"v": v, "t": ["1", "1.5"] * 15}, "t", task="classification")
    with pytest.raises(ValueError, match="data.task is 'sorting'"):
        fit({"v": v, "t": ["a", "b"] * 15}, "t", task="sorting")


def test_remarks_about_equal_and_leaking_columns():
    rng = np.random.default_rng(1)
    v = rng.normal(size=40).round(4).tolist()
    y = ["a", "b"] * 20
    notes = fit({"v": v, "w": v, "leak": [f"{c}!" for c in y], "y": y}).schema.notes
    assert any(note.startswith("w has the same values as v") for note in notes)
    assert any(note.startswith("leak determines the class") for note in notes)
    assert not fit({"v": v, "u": ["p", "q", "q", "p"] * 10, "y": y}).schema.notes


def test_the_id_names_the_rows():
    inputs = fit(with_y(id=[f"p{i}" for i in range(4)], v=[1.5, 2, 8, 1]), id="id")
    assert inputs.schema.names == ("v",)
    assert next(inputs.scan({"id": ["x", "z"], "v": [1, 2]})).rows == ("x", "z")
    assert next(inputs.scan({"v": [1, 2]})).rows == ("row 1", "row 2")


def test_training_reads_itself_as_it_was_fitted(cases):
    """Independent of the classes: standardised columns have mean 0 and std 1 over the training rows."""
    for name in ("x6", "x7", "x8c", "no"):
        file = cases / "csv" / f"{name}.csv"
        inputs = fit(file, "state")
        x = inputs.read(file).x.double()
        torch.testing.assert_close(x.mean(0), torch.zeros(x.shape[1]).double(), atol=1e-6, rtol=0)
        torch.testing.assert_close(x.std(0, correction=0), torch.ones(x.shape[1]).double(), atol=1e-6, rtol=0)


def test_decoding_returns_the_values():
    rng = np.random.default_rng(2)
    n = 200
    data = {
        "v": [("" if rng.random() < 0.2 else f"{rng.normal():.4f}") for _ in range(n)],
        "k": [str(rng.choice(["u", "v", "w", ""])) for _ in range(n)],
        "b": [str(rng.choice(["true", "false"])) for _ in range(n)],
        "d": [f"20{rng.integers(10, 30)}-0{rng.integers(1, 10)}-1{rng.integers(0, 10)}" for _ in range(n)],
        "y": [str(rng.choice(["a", "b"])) for _ in range(n)],
    }
    inputs = fit(data)
    cells = next(read_cells(data))
    values = inputs.schema.read(cells).values
    decoded = inputs.encoding.decode(inputs.encoding.encode(values))
    np.testing.assert_allclose(decoded, values, atol=1e-3)
    shown = [dict(row) for row in inputs.show(inputs.encoding.encode(values))]
    assert [row["k"] for row in shown] == [cell or "(missing)" for cell in data["k"]]
    assert [row["d"] for row in shown] == data["d"]


def test_config_with_strange_keys_is_refused(trained):
    config = trained.to_config()
    with pytest.raises(ValueError, match="unknown key 'colums'"):
        TableInputs.from_config({**config, "colums": []})
    with pytest.raises(ValueError, match="kind 'numbre'"):
        TableInputs.from_config({**config, "columns": [{"name": "a", "kind": "numbre"}]})
    with pytest.raises(ValueError, match="unknown key 'size'"):
        TableInputs.from_config({**config, "columns": [{"name": "a", "kind": "number", "size": 3}]})
    with pytest.raises(ValueError, match="an encoding is named 'sparse'"):
        TableInputs.from_config({**config, "encoding": {"name": "sparse"}})
    with pytest.raises(ValueError, match="mean nan"):
        Column("a", "number", mean=float("nan"))
    with pytest.raises(ValueError, match="occurs twice"):
        TableSchema((Column("a", "number"), Column("a", "number")))


def test_cells_are_accepted_as_they_are(trained):
    columns = {name: np.array([1.0, 2.0]) for name in ("age", "dose", "bmi")}
    assert len(trained.read(Cells(columns, np.array([1, 2]), "memory", "row")).x) == 2
