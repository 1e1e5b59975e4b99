"""``zoo intervene``: concepts set by name, one after another, and every mistake in one line."""

import re

import pytest
import torch

import zoo
from zoo.cli import main
from zoo.data import create_data

TINY = """\
model: {name: cbm, num_classes: 8, backbone: resnet10t, backbone_level: 1, bottleneck: BOTTLENECK}
data: {name: shapes, size: 32, n_train: 64, n_val: 8, n_test: 16, batch_size: 16}
phases:
  concepts: {epochs: 1, lr: {backbone: 1e-3, concepts: 1e-2}, loss: {task: 0, concept: 1}}
  measure: {then: calibrate}
  head: {then: {fit_head: {l2: 1e-3}}}
trainer: {accelerator: cpu}
"""


@pytest.fixture(scope="module", params=["probability", pytest.param("logit", marks=pytest.mark.slow)])
def bottleneck(request, tmp_path_factory):
    """A run folder of a concept bottleneck, trained for four steps."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "tiny.yaml").write_text(TINY.replace("BOTTLENECK", request.param))
    assert main(["train", str(folder / "tiny.yaml"), "--out", str(folder / "run")]) == 0
    return folder / "run"


def test_each_statement_stands_on_those_before_it(bottleneck, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["intervene", str(bottleneck), "3", "wing=striped", "tail=fan", "data.batch_size=4"]) == 0
    out = capsys.readouterr().out
    model = zoo.load(str(bottleneck))
    data = create_data("shapes", size=32, n_train=64, n_val=8, n_test=16)
    x, names = data.samples("test", [3]).x, list(model.units.names)
    concepts = torch.full((1, len(names)), torch.nan)
    with torch.no_grad():
        expected = [model(x)]
        for group, word in (("wing", "striped"), ("tail", "fan")):
            for i, name in enumerate(names):
                if name.startswith(f"{group}: "):
                    concepts[0, i] = float(name == f"{group}: {word}")
            expected.append(model.intervene(x, model.encode_concepts(concepts), concepts.isfinite()))
    old, new = int(expected[0].argmax()), int(expected[-1].argmax())
    pages = list((tmp_path / "runs" / "intervene").glob("*.html"))
    assert len(pages) == 1
    html = pages[0].read_text()
    steps = re.search(r'class="steps">(.*?)</table>', html, re.DOTALL).group(1)
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", steps)
    assert len(rows) == 3
    for row, logits in zip(rows, expected, strict=True):
        for c in {old, new}:
            assert f"<td>{float(logits[0, c]):.2f}</td>".replace("-", "−") in row
        assert f"<b>{data.class_names[int(logits.argmax())]}</b>" in row
    assert "striped" in out
    assert "truth: " in html


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["wings=striped"], "no concept 'wings', did you mean wing?"),
        (["wing=stripy"], "'wing' has no value 'stripy', did you mean striped?"),
        (["wing=plain", "wing=striped"], "'wing' is given twice"),
        ([], "nothing to set"),
        (["data.batch_size=4"], "nothing to set"),
        (["data.batchsize=4", "wing=plain"], "batchsize"),
    ],
)
def test_mistakes(bottleneck, argv, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["intervene", str(bottleneck), "3", *argv]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert words in err
    assert list(tmp_path.iterdir()) == []


def test_dry_run_writes_nothing(bottleneck, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["intervene", str(bottleneck), "3", "wing=plain", "--dry-run"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_units_of_any_family_by_name(finished, tmp_path, monkeypatch, capsys):
    """A prototype network has no concepts: its prototypes are set to a strength."""
    monkeypatch.chdir(tmp_path)
    name = zoo.load(str(finished)).units.names[0]
    assert main(["intervene", str(finished), "3", f"{name}=9"]) == 0
    assert main(["intervene", str(finished), "3", f"{name}=much"]) == 2
    assert main(["intervene", str(finished), "3", "nothing=1"]) == 2
    assert "there is no prototype 'nothing'" in capsys.readouterr().err
