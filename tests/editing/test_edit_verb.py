"""``zoo edit``: a new checkpoint, its history, exact undo, replay, and one line for each mistake."""

import json
from pathlib import Path

import pytest
import torch

import zoo
from zoo import checkpoint
from zoo.cli import main
from zoo.evaluation.edits.edit_scores import auroc, same_units, split_rows
from zoo.evaluation.edits.worst_units import stored_values, worst_units
from zoo.serving.hub import FILES
from zoo.weights.integrity import tensor_hash

REMOVE = ["remove=class 3 #1", "why=the border, it <b>seems</b>", "merge=class 8 #0", "into=class 8 #2"]


@pytest.fixture(scope="module")
def edited(tmp_path_factory):
    """A checkpoint of two edits, without scores."""
    folder = tmp_path_factory.mktemp("edits") / "edited"
    assert main(["edit", "protopnet-digits", *REMOVE, "--no-scores", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def pictures():
    data = zoo.create_data("digits", limit=40)
    return next(iter(data.test_dataloader())).x


def content(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def one_line(capsys):
    error = capsys.readouterr().err
    assert error.startswith("zoo edit: ")
    assert error.count("\n") == 1
    return error


def test_a_checkpoint_keeps_the_edits_and_the_original_stays(edited, pictures, capsys):
    model, original = zoo.load(str(edited)), zoo.load("protopnet-digits")
    in_memory = original.edit(
        [
            {"operation": "remove", "unit": "class 3 #1"},
            {"operation": "merge", "unit": "class 8 #0", "into": "class 8 #2"},
        ]
    )
    assert tensor_hash(model.state_dict()) == tensor_hash(in_memory.state_dict())
    assert model.units.names == in_memory.units.names
    for one, two in zip(model.explain(pictures).contribution, in_memory.explain(pictures).contribution, strict=True):
        assert torch.equal(one, two)
    assert [str(step.edit) for step in model.history.steps] == ["remove class 3 #1", "merge class 8 #0 into=class 8 #2"]
    assert main(["edit", str(edited), "history"]) == 0
    printed = capsys.readouterr().out
    assert "1. remove class 3 #1: the border, it <b>seems</b> (" in printed
    card = (edited / "README.md").read_text()
    assert "## Edits" in card
    assert r"the border, it \<b\>seems\</b\>" in card
    assert "## Scores on the test split" not in card
    assert "explanation.png" not in card
    lines = checkpoint.read_units(edited)
    assert len(lines) == len(model.units) == 47
    assert lines[16].startswith("class 3 #2, before the edits class 3 #2, for 3, from training picture") or (
        lines[16].startswith("class 3 #2, for 3, from training picture")
    )
    assert set(content(edited)) <= set(FILES), "a file would not be pushed to a hub"


def test_all_undone_the_checkpoint_is_the_original(edited, tmp_path):
    assert main(["edit", str(edited), "undo=all", "--no-scores", "--out", str(tmp_path / "back")]) == 0
    original = checkpoint.find("protopnet-digits")
    back = content(tmp_path / "back")
    for name in ("README.md", "metrics.json", "units.yaml", "units.png", "explanation.png"):
        assert name not in back or json_or_bytes(name, back[name]) == json_or_bytes(
            name, (original / name).read_bytes()
        )
    assert {"edits.yaml", "edits.safetensors"}.isdisjoint(back)
    loaded = zoo.load(str(tmp_path / "back"))
    assert tensor_hash(loaded.state_dict()) == tensor_hash(zoo.load("protopnet-digits").state_dict())


def json_or_bytes(name, value):
    return json.loads(value) if name.endswith(".json") else value


CARD = ["flatten=age", "why=not to be asked", "move=occupation", "bins=1", "by=0.5", "remove=hours_per_week"]


def test_undo_and_replay_are_exact(tmp_path, capsys):
    folder = {name: tmp_path / name for name in ("card", "one", "again")}
    assert main(["edit", "scoring_card-adult", *CARD, "--no-scores", "--out", str(folder["card"])]) == 0
    assert main(["edit", str(folder["card"]), "undo=1", "--no-scores", "--out", str(folder["one"])]) == 0
    card, one = (zoo.load(str(folder[name])) for name in ("card", "one"))
    assert tensor_hash(one.state_dict()) == card.history.steps[1].weights
    assert one.units.names == [*card.units.names, "hours_per_week"]
    replay = ["edit", "scoring_card-adult", str(folder["card"] / "edits.yaml"), "--no-scores"]
    assert main([*replay, "--out", str(folder["again"])]) == 0
    again = zoo.load(str(folder["again"]))
    assert tensor_hash(again.state_dict()) == tensor_hash(card.state_dict())
    assert content(folder["again"])["edits.yaml"] == content(folder["card"])["edits.yaml"]
    capsys.readouterr()
    other = ["edit", "additive-wine_quality", str(folder["card"] / "edits.yaml"), "--no-scores"]
    assert main([*other, "--out", str(tmp_path / "x")]) == 2
    assert "of 'scoring_card-adult'; those of additive-wine_quality are" in one_line(capsys)


def test_an_edited_checkpoint_is_edited_in_place_on_request_alone(tmp_path, capsys):
    folder = tmp_path / "copy"
    options = ["--no-scores", "--out", str(folder)]
    assert main(["edit", "scoring_card-adult", "rename=age", "to=a=b", *options]) == 0
    again = ["edit", str(folder), "flatten=a=b", *options]
    capsys.readouterr()
    assert main(again) == 2
    assert "exists; add --overwrite" in one_line(capsys)
    assert main([*again, "--overwrite"]) == 0
    model = zoo.load(str(folder))
    assert len(model.history) == 2
    assert model.units.names[0] == "a=b"
    assert model.history.model == "scoring_card-adult"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy"], "something half-written is left"


MISTAKES = {
    "unit": (["remove=agee"], "remove agee: there is no term 'agee', did you mean age"),
    "operation": (["remvoe=age"], "there is no operation 'remvoe', did you mean remove"),
    "other family": (["forbid=age"], "there is no operation 'forbid'"),
    "argument": (["move=age", "bye=1"], "bye=1 is neither an operation nor an argument of move, did you mean by"),
    "missing": (["move=age"], "by is missing; expected a number"),
    "undo": (["undo=1"], "the model has no edits to undo"),
    "undo what": (["undo=0"], "undo is '0'; expected a number from 1, or all"),
    "undo beside": (["undo=1", "remove=age"], "undo takes back edits; expected no others beside it"),
    "worst": (["worst=x"], "worst is 'x'"),
    "file": (["gone.yaml"], "there is no file gone.yaml"),
    "key of the model": (["remove=age", "model.dim=3"], "model.dim=3 is neither an operation"),
    "column": (["remove=age", "--slices", "sexx"], "there is no column 'sexx', did you mean sex"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(mistake, tmp_path, monkeypatch, capsys):
    words, message = MISTAKES[mistake]
    monkeypatch.chdir(tmp_path)
    assert main(["edit", "scoring_card-adult", *words, "--no-scores"]) == 2
    assert message in one_line(capsys)
    assert not list(tmp_path.iterdir())


def test_a_black_box_is_refused_and_a_unit_is_not_merged_with_itself(capsys):
    assert main(["edit", "blackbox-digits_mlp", "--no-scores"]) == 2
    assert "blackbox cannot be edited: it declares no operations" in one_line(capsys)
    assert main(["edit", "protopnet-digits", "merge=class 3 #1", "into=class 3 #1", "--no-scores"]) == 2
    assert "is given twice; expected another unit" in one_line(capsys)


@pytest.mark.parametrize("damage", ["edits.yaml", "edits.safetensors", "short", "state"])
def test_a_damaged_history_is_refused(damage, edited, tmp_path, capsys):
    folder = tmp_path / "damaged"
    folder.mkdir()
    for name, value in content(edited).items():
        (folder / name).write_bytes(value)
    if damage == "short":
        (folder / "edits.safetensors").unlink()
    elif damage == "state":
        text = (folder / "edits.yaml").read_text()
        (folder / "edits.yaml").write_text(text.replace("units: 47", "units: 46"))
    else:
        (folder / damage).write_bytes(b"x" + content(edited)[damage][1:])
    assert main(["edit", str(folder), "undo=1", "--no-scores", "--out", str(tmp_path / "o")]) == 2
    assert "edits.yaml" in one_line(capsys)


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="disk full"):
        zoo.edit("scoring_card-adult", ["flatten=age"], suite=None, out=tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_scores_before_and_after_in_the_touched_rows_and_by_class(tmp_path):
    result = zoo.edit(
        "cbm-digits",
        [{"operation": "drop", "unit": "has_hole", "why": "not asked for"}],
        data={"limit": 60},
        out=tmp_path / "dropped",
        suite=str(suite_of(tmp_path, "accuracy")),
    )
    rows = {(c.part, c.score): (c.before, c.after) for c in result.changes}
    assert any(part.startswith("touched") for part, _ in rows)
    stored = json.loads((tmp_path / "dropped" / "metrics.json").read_text())
    assert stored["edits"]["count"] == 1
    assert stored["edits"]["scores"][0]["before"] == rows[next(iter(rows))][0]
    assert "## Scores before and after" in (tmp_path / "dropped" / "README.md").read_text()


def suite_of(folder, name):
    file = folder / "suite.yaml"
    file.write_text(f"- {{score: {name}}}\n")
    return file


@torch.no_grad()
def test_touched_rows_are_those_whose_answer_or_explanation_changes(pictures):
    model = zoo.load("protopnet-digits")
    data = zoo.create_data("digits", limit=40)
    same = model.edit([{"operation": "rename", "unit": 0, "to": "x"}])
    assert not split_rows(model, same, data.test_dataloader()).touched.any()
    forbidden = model.edit([{"operation": "forbid", "unit": 3}])
    rows = split_rows(model, forbidden, data.test_dataloader())
    assert torch.equal(rows.touched, (rows.before - rows.after).abs().amax(1) > 1e-6 * rows.before.abs().amax(1))
    removed = model.edit([{"operation": "remove", "unit": 3}])
    assert same_units(model, removed).tolist() == [0, 1, 2, *range(4, 49)]
    assert torch.equal(split_rows(model, removed, data.test_dataloader()).touched, rows.touched)


def test_the_worst_units_by_stored_values():
    values = stored_values({"units": {"purity": {"share": [0.5, None, 0.1, 0.9]}}}, "purity", 4)
    assert worst_units(values, 2, ["a", "b", "c", "d"]) == ["c", "a"]
    with pytest.raises(ValueError, match="worst is 4; expected 1 to 3"):
        worst_units(values, 4, ["a", "b", "c", "d"])
    assert stored_values({"units": {"purity": {"share": [0.5]}}}, "purity", 4) is None
    assert stored_values({}, "purity", 4) is None


def test_auroc_is_that_of_scikit_learn():
    from sklearn.metrics import roc_auc_score

    g = torch.Generator().manual_seed(0)
    score, positive = torch.randint(0, 9, (200,), generator=g).double(), torch.rand(200, generator=g) < 0.3
    assert auroc(score, positive) == pytest.approx(roc_auc_score(positive, score), abs=1e-12)
