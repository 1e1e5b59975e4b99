"""``zoo show --pictures``: a checkpoint without pictures draws its units from the user's own copy of the data."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from zoo import checkpoint
from zoo.capabilities import HasSources, capability
from zoo.cli import main
from zoo.evaluation.units import gallery
from zoo.evaluation.units.drawn_sheet import draw_sheet
from zoo.reporting.contact_sheet import read_contact_sheet
from zoo.training.run import data_of, load_checkpoint


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A copy of a shipped checkpoint without its pictures."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "bare"
    shutil.copytree(checkpoint.find("protopnet-digits"), folder)
    (folder / "units.png").unlink()
    return folder


def pixels(file):
    with Image.open(file) as sheet:
        return np.array(sheet.convert("RGB"))


def test_the_sheet_is_that_of_training(bare, capsys):
    assert main(["show", str(bare), "--pictures"]) == 0
    out = capsys.readouterr().out
    assert "49 units drawn" in out
    assert "not found" not in out
    shipped = checkpoint.find("protopnet-digits")
    drawn = gallery.drawn_folder(bare)
    assert (pixels(drawn / "units.png") == pixels(shipped / "units.png")).all()
    assert (drawn / "units.yaml").read_text() == (shipped / "units.yaml").read_text()
    assert not list(drawn.glob(".*"))


def test_later_pages_show_it(bare):
    model, config = load_checkpoint(str(bare), [])
    data = data_of(config, model)
    assert gallery.sources(model, data, [0, 7], stored=bare) == {}
    draw_sheet(str(bare))
    found = gallery.sources(model, data, [0, 7], stored=bare)
    wanted = gallery.sources(model, data, [0, 7], stored=checkpoint.find("protopnet-digits"))
    for unit in (0, 7):
        assert found[unit].caption == wanted[unit].caption
        assert torch.equal(found[unit].picture, wanted[unit].picture)


def test_samples_are_found_wherever_they_are(bare, tmp_path):
    """Another seed divides the digits otherwise: other positions, and some samples outside the training split."""
    drawn = draw_sheet(str(bare), ["data.seed=1"], out=tmp_path / "other")
    model, config = load_checkpoint(str(bare), ["data.seed=1"])
    train = data_of(config, model).splits["train"]
    origin = capability(model, HasSources).sources()
    data = data_of(config, model)
    hashes = {int(h) for i in range(len(train)) for h in zoo.batch.content_hash(data.samples("train", [i]).x)}
    there = [u for u, content in enumerate(origin.content.tolist()) if content in hashes]
    assert 0 < len(there) < len(model.units)
    assert drawn.drawn == len(there)
    assert set(drawn.missing) == {name for u, name in enumerate(model.units.names) if u not in there}
    with Image.open(tmp_path / "other" / "units.png") as other:
        tiles = read_contact_sheet(other.convert("RGB"), there)
    own = gallery.sources(model, data, there, search=True)
    lines = checkpoint.read_units(tmp_path / "other")
    for u in there:
        assert own[u].caption in lines[u]
        assert lines[u].endswith(model.class_names[int(model.units.owner[u])])  # projected on its own class
    assert set(tiles) == set(there)
    assert gallery.sources(model, data, there).keys() < own.keys()  # without the search: at their old positions alone


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["bilinear_mlp-digits", "--pictures"], "not taken from training samples"),
        (["protopnet-digits", "data.limit=4"], "is for --pictures"),
        (["protopnet-digits", "--out", "x"], "is for --pictures"),
        (["protopnet-digit", "--pictures"], "did you mean protopnet-digits"),
    ],
)
def test_mistakes(argv, words, capsys):
    assert main(["show", *argv]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_other_data_are_refused(bare, tmp_path, capsys):
    state = checkpoint.load(str(bare))
    state.source_hash.fill_(7)
    other = tmp_path / "foreign"
    checkpoint.save(other, state, config=state.config, metrics={}, card="")
    assert main(["show", str(other), "--pictures"]) == 2
    assert "none of the training samples of the 49 units" in capsys.readouterr().err
    assert not gallery.drawn_folder(other).exists()
