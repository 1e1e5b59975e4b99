"""``zoo compare``: units that are known to be the same are found, and every mistake is one line."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo
from zoo import checkpoint
from zoo import config as configs
from zoo.cli import main
from zoo.evaluation.comparison import aligned, unit_cards
from zoo.evaluation.matched_runs import load_runs, probe
from zoo.layers.prototypes.provenance import SOURCES
from zoo.training.run import build, load_config

sys.path.append(str(Path(__file__).parents[1] / "metrics"))
from oracle import parts_met  # noqa: E402

DIGITS = "data: {name: digits, size: 16, batch_size: 16, limit: 60}\ntrainer: {accelerator: cpu}\n"
OTHERS = {
    "blackbox": "model: {name: blackbox, num_classes: 10, backbone: resnet10t, backbone_level: 1}\n" + DIGITS,
    "cem": "model: {name: cem, num_classes: 10, backbone: resnet10t, backbone_level: 1, width: 4}\n" + DIGITS,
    "bilinear": "model: {name: bilinear_mlp, num_classes: 10, width: 12, patterns: 3}\n" + DIGITS,
    "shapes": "model: {name: cbm, num_classes: 8, backbone: resnet10t, backbone_level: 1}\n"
    "data: {name: shapes, size: 32, n_train: 32, n_val: 8, n_test: 16}\ntrainer: {accelerator: cpu}\n",
    "rows": "model: {name: bilinear_mlp, num_classes: 2, width: 6, patterns: 3}\n"
    "data: {name: toys, n_train: 64, n_val: 8, n_test: 40}\ntrainer: {accelerator: cpu}\nseed: SEED\n",
}


def saved(folder, model, config):
    return str(checkpoint.save(folder, model, config=config, metrics={}, card=""))


@torch.no_grad()
def reordered(model):
    """Exchange the prototypes of a class, all that belongs to them included; returns the new order."""
    order = torch.arange(len(model.owner))
    order = torch.cat([order[model.owner == c].flip(0) for c in model.owner.unique()])
    model.prototypes.copy_(model.prototypes[order])
    model.head.weight.copy_(model.head.weight[:, order])
    for name in ("owner", *SOURCES):
        getattr(model, name).copy_(getattr(model, name)[order])
    return order


@pytest.fixture(scope="module")
def desk(finished, tmp_path_factory):
    """A trained run, its twin in another order, a third with other prototypes on the same features, other models."""
    desk = tmp_path_factory.mktemp("desk")
    model = zoo.load(str(finished))
    order = reordered(model)
    places = {"first": str(finished), "twin": saved(desk / "twin", model, model.config), "order": order}
    torch.manual_seed(0)
    with torch.no_grad():
        model.prototypes.normal_()
    places["drawn"] = saved(desk / "drawn", model, model.config)
    with torch.no_grad():
        model.addon[0].bias.add_(0.1)
    places["features"] = saved(desk / "features", model, model.config)
    for name, text in {**OTHERS, "rows1": OTHERS["rows"].replace("SEED", "1")}.items():
        (desk / f"{name}.yaml").write_text(text.replace("SEED", "0"))
        config = load_config(str(desk / f"{name}.yaml"))
        other, _ = build(config)
        places[name] = saved(desk / name, other, configs.plain(config))
    return places


@pytest.fixture
def work_dir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compared(work_dir, argv):
    assert main(["compare", *argv, "--out", "out"]) == 0
    (page,) = (work_dir / "out").glob("*.html")
    return page.read_text(encoding="utf-8"), json.loads(page.with_suffix(".json").read_text())


@pytest.mark.parametrize("by", ["activations", "directions", "parts"])
def test_a_twin_in_another_order_is_found(desk, work_dir, by, capsys):
    html, figures = compared(work_dir, [desk["first"], desk["twin"], "--by", by])
    (pair,) = figures["pairs"]
    assert pair["runs"] == ["tiny", "twin"]
    assert pair["similarity"] == pytest.approx(1 - pair["dead"])  # a prototype that looks at no part is like none
    assert pair["same answer"] == 1
    assert pair["unmatched"] == 0
    assert pair["chance"] < pair["similarity"]
    if by != "parts":  # where profiles tie
        assert desk["order"][pair["right"]].tolist() == pair["left"]
    assert figures["protocol"] == f"zoo-matching-v1/{by}"
    assert figures["support"] == 60
    assert html.count('class="pair"') == len(pair["left"])
    assert "<img" in html
    out = capsys.readouterr().out
    assert "accuracy" in out
    assert re.search(r"page +out/tiny-twin-by-", out)


def test_three_runs_and_their_mean(desk, work_dir):
    html, figures = compared(
        work_dir, [desk["first"], desk["twin"], desk["drawn"], "--by", "directions", "--shown", "4"]
    )
    assert [p["runs"] for p in figures["pairs"]] == [["tiny", "twin"], ["tiny", "drawn"], ["twin", "drawn"]]
    for key in ("similarity", "chance", "strict_chance", "same answer"):
        assert figures["mean"][key] == pytest.approx(sum(p[key] for p in figures["pairs"]) / 3)
    twins, *drawn = (p["similarity"] for p in figures["pairs"])
    assert twins == pytest.approx(1)
    assert drawn[0] == pytest.approx(drawn[1])  # to the third, twins are the same
    assert drawn[0] < 0.7
    assert html.count('class="pair"') == 12
    assert "mean over pairs of runs" in html


@torch.no_grad()
def test_by_activations_against_numpy(desk):
    """Another family, in one go: single samples differ by the rounding of some machines, 1.2e-5 of a correlation."""
    runs = load_runs([desk["first"], desk["cem"]])
    match = probe(runs, "activations").matches[0, 1]
    strengths = []
    for run in runs:
        x = run.data.samples("test", range(60)).x
        strengths.append(run.model.explain(x).strength.double().numpy())
    u, v = (s.shape[1] for s in strengths)
    full = np.corrcoef(strengths[0].T, strengths[1].T)[:u, u:]
    np.testing.assert_allclose(match.similarity, full[match.left, match.right], atol=1e-5)
    assert len(match.left) == min(u, v)


@torch.no_grad()
def test_by_parts_against_loops(desk):
    """The rates at which prototypes meet the landmarks in test images of their own class."""
    runs = load_runs([desk["first"], desk["features"]])
    match, profiles = probe(runs, "parts").matches[0, 1], []
    for run in runs:
        batch, owner = run.data.samples("test", range(60)), run.model.owner.tolist()
        maps = run.model.maps(batch.x).numpy()
        touched, visible = np.zeros((len(owner), 7)), np.zeros((len(owner), 7))
        for u, c in enumerate(owner):
            for i in (batch.y == c).nonzero()[:, 0].tolist():
                touched[u] += parts_met(maps[i, u], batch.points[i], batch.visible[i], 16, np.float32)
                visible[u] += batch.visible[i].numpy()
        rate = touched / np.maximum(1, visible)
        profiles.append(rate / np.maximum(1e-12, np.linalg.norm(rate, axis=1, keepdims=True)))
    expected = (profiles[0][match.left] * profiles[1][match.right]).sum(1)
    np.testing.assert_allclose(match.similarity, expected, atol=1e-9)


def test_what_units_add_and_who_is_right(desk):
    runs = load_runs([desk["first"], desk["drawn"]])
    actual = probe(runs, "activations")
    for run, amounts, accuracy in zip(runs, actual.amounts, actual.accuracy, strict=True):
        batch = run.data.samples("test", range(60))
        with torch.no_grad():
            result = run.model.explain(batch.x, target=batch.y)
        torch.testing.assert_close(amounts, result.contribution.double().mean(0), rtol=1e-5, atol=1e-6)
        assert accuracy == pytest.approx(float((result.logits.argmax(1) == batch.y).double().mean()))


def test_patterns_without_a_sign_are_shown_in_the_same_colours(desk, work_dir):
    """Of a twin whose patterns are all turned round."""
    runs = load_runs([desk["bilinear"], desk["first"]])
    card = unit_cards(runs[0], torch.zeros(30), {0})[0]
    other = replace(card, source=replace(card.source, picture=-card.source.picture))
    assert torch.equal(aligned(other, card, runs[0]).source.picture, card.source.picture)
    assert aligned(card, card, runs[0]) is card
    assert aligned(other, card, runs[1]) is other  # prototypes have a sign


@pytest.mark.parametrize(
    ("names", "more", "words"),
    [
        (["first"], [], "1 run named; name two or more"),
        (["first", "twin", "first"], [], "is named twice"),
        (["first", "protopnet-digit"], [], "no checkpoint 'protopnet-digit', did you mean protopnet-digits or"),
        (["first", "blackbox"], [], "has no units"),
        (["first", "shapes"], [], "shapes is on shapes, tiny on digits"),
        (["rows", "rows1"], [], "different test samples"),
        (["first", "features"], ["--by", "directions"], "tiny and features are directions of different spaces"),
        (["first", "bilinear"], ["--by", "directions"], "tiny and bilinear are directions of different spaces"),
        (["first", "cem"], ["--by", "directions"], "cem is a cem, whose units are no directions"),
        (["first", "cem"], ["--by", "parts"], "cem cannot be matched by parts: the units have no place"),
        (["rows", "rows1"], ["data.seed=0", "--by", "parts"], "toys has no part annotations"),
        (["first", "twin"], ["model.dim=3"], "a trained model is fixed"),
        (["first", "twin"], ["data.sise=3"], "sise"),
        (["first", "twin"], ["--shown", "-1"], "--shown is -1"),
    ],
)
def test_mistakes(desk, work_dir, names, more, words, capsys):
    assert main(["compare", *(desk.get(name, name) for name in names), *more]) == 2
    err = capsys.readouterr().err
    assert err.startswith("zoo compare: ")
    assert err.count("\n") == 1
    assert words in err
    assert list(work_dir.iterdir()) == []


def test_rows_with_the_same_samples_by_an_override(desk, work_dir):
    html, figures = compared(work_dir, [desk["rows"], desk["rows1"], "data.seed=0"])
    assert figures["support"] == 40
    assert "eigenvector" in html


def test_dry_run_writes_nothing(desk, work_dir, capsys):
    assert main(["compare", desk["first"], desk["twin"], "--dry-run"]) == 0
    assert "page" not in capsys.readouterr().out
    assert list(work_dir.iterdir()) == []
