"""The page, from explanations made up here: it may know the contract and nothing else."""

import os
import re
from dataclasses import replace
from html import unescape

import pytest
import torch

from zoo.explanation import Explanation, Units
from zoo.reporting import page as page_module
from zoo.reporting.chart import chart
from zoo.reporting.context import PageContext, ScoreRow, StepRow, UnitRow
from zoo.reporting.page import page
from zoo.reporting.unit_picture import Source, unit_picture

torch.set_num_threads(1)
NAMES = ["cat", "dog", "owl"]


def explained(b=2, u=12, k=4, kind="prototype", method="exact", grid=(5, 5), seed=0):
    g = torch.Generator().manual_seed(seed)
    contribution, base = torch.randn(b, u, generator=g), torch.randn(b, generator=g)
    logits = torch.randn(b, 3, generator=g)
    target = torch.arange(b) % 3
    logits[torch.arange(b), target] = contribution.sum(1) + base
    shown = contribution.abs().argsort(1, descending=True)[:, :k]
    where = None if grid is None else torch.rand(b, k, *grid, generator=g)
    owner = torch.arange(u) % 3
    units = Units(kind, [f"unit {j}" for j in range(u)], owner, describe="About <units>.", signed=kind == "eigenvector")
    return Explanation(units, logits, target, contribution.abs(), contribution, base, shown, where, method)


def written(tmp_path, explanation, **given):
    given = {"pictures": torch.rand(len(explanation), 3, 16, 16), "class_names": NAMES} | given
    explanations = [explanation, *given.pop("others", ())]
    context = PageContext("A title", explanations, **given)
    return page(tmp_path / "page.html", context).read_text(encoding="utf-8")


def sums(html):
    """(lines, total) of every sum on the page, as the numbers printed."""
    for table in re.findall(r'<table class="sum">(.*?)</table>', html, re.DOTALL):
        cells = [round(float(x.replace("−", "-")) * 1e6) for x in re.findall(r"<td>([^<]*)</td>", table)]
        yield cells[:-1], cells[-1]


@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
@pytest.mark.parametrize("method", ["exact", "ablation", "gradient"])
def test_printed_sum_is_the_printed_logit(tmp_path, scale, method):
    e = explained(b=6, method=method)
    values = {f: getattr(e, f) * scale for f in ("logits", "contribution", "base")}
    e = replace(e, **values)
    result = list(sums(written(tmp_path, e)))
    assert len(result) == 6
    for i, (lines, total) in enumerate(result):
        assert sum(lines) == total
        assert total / 1e6 == pytest.approx(e.logits[i, e.target[i]].item(), abs=0.0051 if scale >= 1 else 1e-5)


def test_sum_printed_beside_the_classes_is_the_same_number(tmp_path):
    e = explained(b=1)
    e.logits[0, 0] = e.logits.max() + 1
    e = replace(e, base=e.logits[:, 0] - e.contribution.sum(1))
    html = written(tmp_path, e)
    beside = re.search(r'class="classes">.*?</td><td>([^<]*)</td>', html, re.DOTALL).group(1)
    assert f'<th scope="row">= logit of “cat”</th><td>{beside}</td>' in html


def test_says_whether_the_sum_is_exact(tmp_path):
    e = explained(b=1)
    assert "sum to its logit" in written(tmp_path, e)
    assert "when that prototype alone is removed" in written(tmp_path, replace(e, method="ablation"))
    broken = written(tmp_path, replace(e, base=e.base + 1))
    assert "do not trust this explanation" in broken
    assert "not captured by this sum" in broken
    assert "sum to its logit" not in broken


def test_units_rest_and_base_are_counted(tmp_path):
    html = written(tmp_path, explained(b=1, u=12, k=4))
    assert "4 prototypes listed above" in html
    assert "8 other prototypes" in html
    assert "base, not due to any unit" in html


def test_self_contained(tmp_path):
    source = Source(torch.rand(3, 16, 16), (2, 2, 9, 9), "training picture 7")
    html = written(tmp_path, explained(), sources={j: source for j in range(12)}, facts={"Model": "x"})
    assert "http" not in html.replace("http-equiv", "")
    assert "<script" not in html
    assert "<link" not in html
    assert "url(" not in html
    policy = (
        re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', html).group(1).replace("&#39;", "'")
    )
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline';")
    assert html.index("Content-Security-Policy") < html.index("<style>") < html.index("<image")
    assert "<img" not in html
    assert "src=" not in html
    images = re.findall(r'<image id="(p\d+)"[^>]* href="data:image/', html)
    assert html.count("<image") == len(images) == len(set(images))
    drawings = re.findall(r'<svg class="picture[^>]*>', html)
    assert drawings
    assert all(re.search(r'role="img" aria-label="[^"]+"', drawing) for drawing in drawings)
    links = set(re.findall(r' href="(#[^"]*)"', html))
    assert links == {"#input-1", "#input-2", *(f"#{image}" for image in images)}
    assert html.count(" href=") == len(images) + len(re.findall(r' href="#', html))


def test_names_are_escaped(tmp_path):
    nasty = '<b>&"'
    e = explained(b=1)
    e = replace(e, units=Units("prototype", [nasty] * 12, e.units.owner))
    source = Source(torch.rand(3, 16, 16), None, nasty)
    shared = {"class_names": [nasty] * 3, "sources": {j: source for j in range(12)}, "truth": torch.tensor([1])}
    html = written(
        tmp_path, e, scores=[ScoreRow(nasty, nasty, nasty, nasty)], facts={nasty: nasty}, lead=nasty, **shared
    )
    for allowed in ("<b>Heat map", "<b>Bars", "<b>The sum", "<b>The perc"):
        html = html.replace(allowed, "")
    assert "<b>" not in html
    assert '&"' not in html
    assert nasty in unescape(html)


def test_right_and_wrong(tmp_path):
    e = explained(b=2)
    answer = e.logits.argmax(1)
    html = written(tmp_path, e, truth=torch.stack([answer[0], (answer[1] + 1) % 3]))
    assert html.count("✓ Correct") == 1
    assert html.count(f"✗ Wrong: the true class is “{NAMES[(int(answer[1]) + 1) % 3]}”") == 1
    assert "Wrong" not in written(tmp_path, e)


def test_black_box(tmp_path):
    logits, none = torch.tensor([[0.2, 3.0, -1.0]]), torch.zeros(1, 0)
    e = Explanation(Units("none", []), logits, torch.tensor([1]), none, none, logits[:, 1], none.long())
    html = written(tmp_path, e)
    assert "About &lt;units&gt;." in written(tmp_path, explained())
    assert "black box" in html
    assert list(sums(html)) == [([3_000_000], 3_000_000)]


@pytest.mark.parametrize("grid", [None, (7,)])
def test_units_without_a_place_in_a_picture(tmp_path, grid):
    html = written(tmp_path, explained(b=1, kind="concept", grid=grid))
    assert html.count("<image") == html.count('<svg class="picture') == 1
    assert html.count('class="unit"') == 4
    assert "no training picture" not in html


def test_without_pictures(tmp_path):
    html = written(tmp_path, explained(kind="code"), pictures=None)
    assert "<image" not in html
    assert "4 codes listed above" in html


def test_padding_and_unknown_sources_read_well(tmp_path):
    e = explained(b=1)
    e.shown[0, 2:] = -1
    html = written(tmp_path, e, sources={int(e.shown[0, 0]): Source(torch.rand(3, 16, 16), (0, 0, 4, 4), "kept")})
    assert html.count('class="unit"') == 2
    assert html.count("There is no training picture of this prototype.") == 1
    assert "2 prototypes listed above" in html
    assert "10 other prototypes" in html
    e.shown[0] = -1
    assert "No prototype is shown for this input." in written(tmp_path, e)


def test_second_case_only_for_another_class(tmp_path):
    e, other = explained(b=2), explained(b=2, seed=1)
    e.logits[:] = other.logits
    same = replace(other, target=torch.tensor([0, 2]))
    html = written(tmp_path, e, others=[same])
    assert html.count('class="sum"') == 3
    assert re.search(r"<summary>Why( not)? “owl”\?", html)


def test_many_inputs_fold_and_stay_small(tmp_path):
    sample = pytest.importorskip("sklearn.datasets").load_sample_images().images
    photos = torch.stack([torch.tensor(sample[i % 2][20 * i : 20 * i + 224, 50 * i : 50 * i + 224]) for i in range(8)])
    photos = photos.permute(0, 3, 1, 2) / 255
    sources = {j: Source(photos[j % 8], (j, 10, 80 + j, 90), f"picture {j}") for j in range(40)}
    html = written(tmp_path, explained(b=8, u=40, k=10), pictures=photos, sources=sources)
    assert len(html) < 0.5e6
    assert html.count("<image") == 8 + 80  # each picture once, also where it is a source, and a map of each unit
    assert html.count("<summary>7 more prototypes</summary>") == 8
    assert html.count('class="unit"') == 80


def test_scores_and_facts(tmp_path):
    rows = [
        ScoreRow("Accuracy", "0.97", "accuracy/test@1", "share right"),
        ScoreRow("Stability", "n/a: no parts", "s@1"),
    ]
    html = written(tmp_path, explained(), scores=rows, facts={"Seeds": "0, 1"})
    for text in ("Accuracy", "0.97", "accuracy/test@1", "share right", "n/a: no parts", "<dt>Seeds</dt><dd>0, 1</dd>"):
        assert text in html


def test_written_whole_or_not_at_all(tmp_path, monkeypatch):
    written(tmp_path, explained())
    before = (tmp_path / "page.html").read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(page_module.Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        written(tmp_path, explained(seed=1))
    assert (tmp_path / "page.html").read_bytes() == before
    assert os.listdir(tmp_path) == ["page.html"]


def test_same_explanation_same_bytes(tmp_path):
    pictures = torch.rand(2, 3, 16, 16)
    assert written(tmp_path, explained(), pictures=pictures) == written(tmp_path, explained(), pictures=pictures)


def test_mistakes_are_named(tmp_path):
    e = explained()
    with pytest.raises(ValueError, match="class_names has 2 entries; expected 3"):
        written(tmp_path, e, class_names=["a", "b"])
    with pytest.raises(ValueError, match="truth has 1 entries; expected 2"):
        written(tmp_path, e, truth=torch.tensor([0]))
    with pytest.raises(ValueError, match=r"expected 0\.\.1: undo the normalization"):
        written(tmp_path, e, pictures=torch.randn(2, 3, 16, 16))
    with pytest.raises(ValueError, match="base of input 0 holds nan; expected finite"):
        written(tmp_path, replace(e, base=e.base * float("nan")))


def test_unit_picture():
    picture = torch.rand(3, 32, 32)
    whole = unit_picture(Source(picture, None, ""))
    both = unit_picture(Source(picture, (0, 8, 16, 24), ""))
    assert whole.size == (192, 192)
    assert both.size == (192 + 12 + 192, 192)
    inside = both.convert("RGB").getpixel((192 + 12 + 3, 3))
    assert torch.tensor(inside) == pytest.approx((picture[:, 8, 0] * 255).round().tolist(), abs=1)


def test_notes_details_charts_and_steps_are_written(tmp_path):
    e = explained(b=1, kind="concept", grid=None)
    first = int(e.shown[0, 0])
    html = written(
        tmp_path,
        e,
        pictures=None,
        notes=[{first: "✗ truly no"}],
        feature_values=[[("age <years>", "43")]],
        charts=[chart({"random": [0.5, 0.75, 1.0]}, title="accuracy", x="groups set")],
        steps=[
            StepRow("", "", "", "cat", "60 %", "1.00", "0.50"),
            StepRow("wing", "0.2", "1", "dog", "70 %", "0.10", "2.00"),
        ],
        scores=[ScoreRow("interventions", "0.75", "zoo-interventions-v1")],
    )
    assert '<span class="note wrong">✗ truly no</span>' in html
    assert "age &lt;years&gt;" in html
    assert "<polyline" in html
    assert "logit of “dog”" in html
    assert re.search(r"wing</th><td>0.2</td><td>1</td><td><b>dog</b>", html)


def test_signed_units_are_shown_in_two_colors_with_their_template(tmp_path):
    e = explained(b=1, kind="eigenvector", grid=(16, 16))
    e = replace(e, where=e.where - 0.5)
    template = Source(torch.randn(16, 16), None, "")
    html = written(tmp_path, e, sources={j: template for j in range(12)})
    assert html.count("Template of unit") == 4
    assert "raining picture" not in html
    assert "evidence for the eigenvector" in html
    assert "Heat map" not in html


def test_notes_and_details_that_do_not_fit(tmp_path):
    for name in ("notes", "feature_values", "traces", "class_sums", "decision_paths"):
        with pytest.raises(ValueError, match=f"page: {name} has 3 entries"):
            written(tmp_path, explained(b=2), **{name: [{}] * 3})


def test_unreliable_units_are_listed_with_their_picture(tmp_path):
    rows = [
        UnitRow("p<7>", "owl", Source(torch.rand(3, 16, 16), (0, 0, 4, 4), "x"), ["12 %", ""]),
        UnitRow("p2", "", None, ["99 %", "50 %"]),
    ]
    html = written(tmp_path, explained(b=1), units=rows, unit_scores=["one part", "after noise"])
    table = re.search(r'class="lowest">(.*?)</table>', html, re.DOTALL).group(1)
    assert re.findall(r'<th scope="row">([^<]*)', table) == ["p&lt;7&gt;", "p2"]
    assert re.findall(r"<td>([^<]*)</td>", table) == ["12 %", "n/a", "", "99 %", "50 %"]
    assert table.count('<svg class="picture') == 1
    assert "class “owl”" in table
