"""Folders that ``datasets`` has saved: written here by the format alone, and by the package where it is installed."""

import json
from importlib.util import find_spec

import pytest

import zoo
from zoo.inputs.texts.sentence_files import read_sentences

pa = pytest.importorskip("pyarrow")
NAMES = ["bad", "good"]


def rows(number, first=0):
    return {
        "review": [
            f"the {word} film {i}, “{i % 3}” ☃" for i in range(first, first + number) for word in ("dull", "fine")
        ],
        "stars": [i % 2 for i in range(2 * number)],
        "note": [None if i % 3 else {"by": i} for i in range(2 * number)],
    }


def save(folder, columns, files=2, indices=()):
    """Write the files of ``Dataset.save_to_disk``, two batches in each."""
    folder.mkdir(parents=True)
    table = pa.table(columns)
    share = -(-len(table) // files)
    names = [f"data-{i:05d}-of-{files:05d}.arrow" for i in range(files)]
    for i, name in enumerate(names):
        part = table.slice(i * share, share)
        with pa.ipc.new_stream(folder / name, table.schema) as out:
            out.write_table(part, max_chunksize=max(1, len(part) // 2))
    label = {"names": NAMES, "_type": "ClassLabel"}
    features = {"review": {"dtype": "string", "_type": "Value"}, "stars": label}
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    state = {"_data_files": [{"filename": name} for name in names], "_indices_data_files": list(indices) or None}
    (folder / "state.json").write_text(json.dumps(state))
    return folder


def save_splits(folder, **splits):
    for name, columns in splits.items():
        save(folder / name, columns)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    return folder


@pytest.mark.parametrize("chunk", [3, 1000])
def test_one_data_set(tmp_path, chunk):
    columns = rows(10)
    parts = list(read_sentences(save(tmp_path / "one", columns), chunk=chunk))
    assert all(len(part) <= chunk for part in parts)
    for name, expected in (
        ("review", columns["review"]),
        ("stars", [NAMES[i] for i in columns["stars"]]),
        ("note", [None if cell is None else json.dumps(cell) for cell in columns["note"]]),
    ):
        assert [cell for part in parts for cell in part.columns[name].tolist()] == expected
    assert [line for part in parts for line in part.lines.tolist()] == list(range(1, 21))


def test_splits_of_a_dictionary_are_taken_over(tmp_path):
    folder = save_splits(tmp_path / "all", train=rows(20), validation=rows(5, 20), test=rows(8, 30))
    data = zoo.create_data("sentences", file=str(folder), text="review", label="stars", length=12)
    assert data.class_names == ("bad", "good")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 40, "val": 10, "test": 16}
    assert data.texts("test")[:2] == rows(8, 30)["review"][:2]
    with pytest.raises(ValueError, match=r"holds several splits; name one of .*train"):
        list(read_sentences(folder))


def test_a_model_predicts_a_saved_data_set(tmp_path):
    model = zoo.load("rationale-generated_reviews")
    folder = save(tmp_path / "new", {"text": ["The soup was cold.", "We loved it"], "id": [1, 2]}, files=1)
    assert model.predict(folder).labels == model.predict(["The soup was cold.", "We loved it"]).labels


def test_what_cannot_be_read_is_refused(tmp_path):
    selected = save(tmp_path / "selected", rows(3), indices=[{"filename": "indices.arrow"}])
    with pytest.raises(ValueError, match=r"selection of rows; write it with dataset.flatten_indices"):
        list(read_sentences(selected))
    cut = save(tmp_path / "cut", rows(30))
    file = cut / "data-00000-of-00002.arrow"
    file.write_bytes(file.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"data-00000-of-00002.arrow: damaged"):
        list(read_sentences(cut))
    file.unlink()
    with pytest.raises(ValueError, match="data-00000-of-00002.arrow"):
        list(read_sentences(cut))
    (cut / "state.json").write_text("{")
    with pytest.raises(ValueError, match=r"state.json is no JSON"):
        list(read_sentences(cut))
    with pytest.raises(ValueError, match="has no rows"):
        list(read_sentences(save(tmp_path / "none", {"text": pa.array([], pa.string())}, files=1)))
    twice = save_splits(tmp_path / "twice", train=rows(2), validation=rows(2), dev=rows(2))
    with pytest.raises(ValueError, match="two splits of one meaning"):
        list(read_sentences(twice))
    other = save_splits(tmp_path / "other", unsupervised=rows(2))
    with pytest.raises(ValueError, match="lists unsupervised; expected a split train"):
        list(read_sentences(other))


def test_labels_without_a_name_are_missing(tmp_path):
    columns = rows(3)
    columns["stars"][1] = -1
    cells = next(read_sentences(save(tmp_path / "one", columns, files=1)))
    assert cells.columns["stars"].tolist()[1] is None


@pytest.mark.skipif(find_spec("datasets") is None, reason="the package datasets is not installed")
def test_folders_of_the_package_itself(tmp_path):
    import datasets  # pyright: ignore[reportMissingImports]

    columns = {name: cells for name, cells in rows(6).items() if name != "note"}
    features = datasets.Features(review=datasets.Value("string"), stars=datasets.ClassLabel(names=NAMES))
    one = datasets.Dataset.from_dict(columns, features=features)
    both = datasets.DatasetDict(train=one, test=one.select([5, 1, 2]))
    both.save_to_disk(tmp_path / "both")
    cells = [cell for part in read_sentences(tmp_path / "both" / "test") for cell in part.columns["review"].tolist()]
    assert cells == [columns["review"][i] for i in (5, 1, 2)]
    data = zoo.create_data("sentences", file=str(tmp_path / "both"), text="review", label="stars", length=12)
    assert len(data.splits["test"]) == 3
    assert data.class_names == ("bad", "good")
