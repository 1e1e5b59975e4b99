"""``zoo push`` and ``zoo pull`` against a hub on this machine: whole or not at all, and checked like any checkpoint."""

import json
import shutil
import signal
import subprocess
import sys

import pytest
import yaml
from hub_stand_in import TOKEN, Hub

import zoo
from zoo import checkpoint, paths
from zoo.cli import main
from zoo.serving.whole_folder import filled_beside

NAME = "additive-wine_quality"
REPO = "my-lab/wine"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between retries
    monkeypatch.setenv("ZOO_CHECKPOINTS", str(tmp_path / "checkpoints"))
    with Hub() as server:
        yield server


def push(hub, name=NAME, **options):
    return zoo.push(name, REPO, endpoint=hub.address, token=TOKEN, **options)


def pull(hub, **options):
    return zoo.pull(REPO, endpoint=hub.address, token=TOKEN, **options)


def test_a_checkpoint_that_is_pushed_and_pulled_is_the_same(hub):
    pushed = push(hub)
    assert pushed.address.startswith(f"{hub.address}/{REPO}/commit/")
    assert len(hub.repos[REPO]) == 1, "one commit"
    pulled = pull(hub)
    assert pulled.name == "wine"
    source = paths.home() / "checkpoints" / NAME
    for file in source.iterdir():
        if file.name != "README.md":
            assert (pulled.folder / file.name).read_bytes() == file.read_bytes(), file.name
    assert {file.name for file in pulled.folder.iterdir()} == {file.name for file in source.iterdir()}
    assert [folder.name for folder in pulled.folder.parent.iterdir()] == ["wine"]
    assert "wine" in zoo.list_checkpoints("wine")
    assert zoo.load("wine").class_names == zoo.load(NAME).class_names


def test_the_card_has_what_the_hub_reads(hub):
    from huggingface_hub import ModelCard

    push(hub)
    card = ModelCard(hub.repos[REPO][-1]["README.md"].decode())
    assert card.data.library_name == "zoo"
    assert card.data.pipeline_tag == "tabular-regression"
    assert card.data.tags[0] == "interpretability"
    assert len(set(card.data.tags)) == len(card.data.tags)
    scores = json.loads((paths.home() / "checkpoints" / NAME / "metrics.json").read_text())["scores"]
    assert {result.metric_type: result.metric_value for result in card.data.eval_results}["r2"] == scores["r2"]["value"]
    front = yaml.safe_load(hub.repos[REPO][-1]["README.md"].decode().split("---")[1])
    assert front["license"] == "mit"
    assert "## Limits" in card.content


def test_a_second_push_removes_what_the_checkpoint_no_longer_has(hub, tmp_path):
    push(hub)
    hub.repos[REPO][-1]["notes.txt"] = b"of a person"
    smaller = tmp_path / "smaller"
    shutil.copytree(paths.home() / "checkpoints" / NAME, smaller)
    (smaller / "explanation.png").unlink()
    push(hub, str(smaller))
    assert set(hub.repos[REPO][0]) - set(hub.repos[REPO][1]) == {"explanation.png"}
    assert "notes.txt" in hub.repos[REPO][1], "files of others are left alone"


@pytest.mark.parametrize("where", ["/blobs/", "/commit/"])
def test_a_push_that_is_interrupted_changes_nothing(hub, where):
    push(hub)
    before = dict(hub.repos[REPO][-1])
    hub.blobs.clear()
    hub.fails.add(where)
    with pytest.raises(ValueError, match=REPO):
        push(hub, "additive-adult")
    assert hub.repos[REPO] == [before]


@pytest.mark.parametrize("broken", ["model.safetensors", "inputs.yaml"])
def test_a_pull_that_is_interrupted_leaves_nothing(hub, broken, tmp_path):
    push(hub)
    hub.cuts.add(f"main/{broken}")
    hub.cuts.add(f"{hub.sha(REPO)}/{broken}")
    with pytest.raises(ValueError, match="."):
        pull(hub)
    assert list((tmp_path / "checkpoints").iterdir()) == []
    hub.cuts.clear()
    assert pull(hub).folder.is_dir()


def test_what_a_killed_pull_left_is_removed_and_what_it_was_replacing_is_put_back(hub, tmp_path):
    push(hub)
    (tmp_path / "checkpoints").mkdir()
    killed = f"""
import os, signal, sys
from pathlib import Path
from zoo.serving.whole_folder import filled_beside
real = os.replace
def replace(source, target):
    if source == part:
        os.kill(os.getpid(), signal.SIGKILL)  # the old one is away, the new one not yet there
    real(source, target)
os.replace = replace
folder = Path({str(tmp_path / "checkpoints" / "mine")!r})
folder.mkdir()
(folder / "README.md").write_text("old")
with filled_beside(folder) as part:
    part.mkdir()
    (part / "README.md").write_text("new")
"""
    assert subprocess.run([sys.executable, "-c", killed]).returncode == -signal.SIGKILL
    (left,) = (tmp_path / "checkpoints").iterdir()
    assert left.name.startswith(".partial-")
    with filled_beside(tmp_path / "checkpoints" / "alive") as part:
        part.mkdir()
        pull(hub)
        assert part.is_dir(), "that of a process that lives is left alone"
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["alive", "mine", "wine"]
    assert (tmp_path / "checkpoints" / "mine" / "README.md").read_text() == "old"


def test_a_pulled_checkpoint_is_checked_like_any_other(hub, tmp_path):
    push(hub)
    content = hub.repos[REPO][-1]
    weights = bytearray(content[checkpoint.WEIGHTS])
    weights[-1] ^= 1
    content[checkpoint.WEIGHTS] = bytes(weights)
    with pytest.raises(ValueError, match="is damaged: its SHA-256 is not that of"):
        pull(hub)
    assert list((tmp_path / "checkpoints").iterdir()) == []
    del content[checkpoint.WEIGHTS]
    with pytest.raises(ValueError, match="my-lab/wine has no model.safetensors; expected a checkpoint"):
        pull(hub)


def test_only_files_of_a_checkpoint_are_pulled(hub):
    push(hub)
    hub.repos[REPO][-1] |= {"model.py": b"raise SystemExit", "pytorch_model.bin": b"pickle", ".hidden/x.yaml": b""}
    folder = pull(hub).folder
    assert not {"model.py", "pytorch_model.bin", ".hidden", ".cache"} & {file.name for file in folder.iterdir()}


def test_an_existing_checkpoint_is_kept_unless_it_is_to_be_replaced(hub):
    push(hub)
    folder = pull(hub).folder
    (folder / "README.md").write_text("mine")
    with pytest.raises(ValueError, match="exists; add --overwrite to replace it, or choose another --name"):
        pull(hub)
    assert (folder / "README.md").read_text() == "mine"
    hub.fails.add("resolve")
    with pytest.raises(ValueError, match=REPO):
        pull(hub, overwrite=True)
    assert (folder / "README.md").read_text() == "mine", "a pull that fails keeps the old one"
    hub.fails.clear()
    pull(hub, overwrite=True)
    assert "mine" not in (folder / "README.md").read_text()
    assert pull(hub, name="other").name == "other"


def test_a_damaged_checkpoint_is_not_pushed(hub, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(paths.home() / "checkpoints" / NAME, folder)
    weights = bytearray((folder / checkpoint.WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (folder / checkpoint.WEIGHTS).write_bytes(weights)
    with pytest.raises(ValueError, match="is damaged"):
        push(hub, str(folder))
    assert hub.requests == [], "nothing was sent"


def test_refusals_of_the_hub_are_one_line(hub):
    with pytest.raises(ValueError, match=r"the hub refuses my-lab/wine \(401\): log in with `hf auth login`") as error:
        zoo.push(NAME, REPO, endpoint=hub.address, token="hf_other")
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"my-lab/wine") as error:
        pull(hub)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("argv", [["pull", "wine"], ["push", NAME, "a/b/c"], ["pull", "my-lab/"]])
def test_a_name_that_is_no_repository_is_refused(argv, capsys):
    assert main(argv) == 2
    assert "expected organization/name" in capsys.readouterr().err
