"""The page of runs side by side, from units made up here."""

import re

import pytest
import torch

from zoo.reporting.pages.comparison_page import MATCHINGS, RunPair, UnitCard, compare_page, ends
from zoo.reporting.unit_picture import Source

COLUMNS = ("pairs", "similarity")


def cards(run, count, *, pictured=()):
    g = torch.Generator().manual_seed(count)
    return [
        UnitCard(
            f"{run}<{u}>",
            u - 1.5,
            "owl" if u % 2 else "",
            Source(torch.rand(3, 16, 16, generator=g), (2, 3, 9, 8), f"picture {u}") if u in pictured else None,
        )
        for u in range(count)
    ]


def pair(left="a", right="b", count=6, *, spare=0, pictured=(), note=""):
    one, other = cards(left, count, pictured=pictured), cards(right, count + spare, pictured=pictured)
    pairs = [(a, b, 1 - 0.3 * i) for i, (a, b) in enumerate(zip(one, other, strict=False))]
    return RunPair(left, right, pairs, [(left, []), (right, other[count:])], (str(count), "0.250"), (0.1, 0.4), note)


def written(tmp_path, pairs, **given):
    names = dict.fromkeys(name for p in pairs for name in (p.left, p.right))
    given = {"by": "activations", "shown": 4, "kinds": ["prototype"] * len(names)} | given
    return compare_page(
        tmp_path / "deep" / "page.html",
        title="Side & side",
        lead="A lead.",
        columns=COLUMNS,
        pairs=pairs,
        mean=("", "0.250"),
        runs=[(name, "6 units, right") for name in names],
        facts={"command": "zoo <compare>"},
        **given,
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize(("count", "shown"), [(0, 4), (3, 4), (4, 4), (5, 4), (9, 4), (9, 3), (9, 1), (9, 0), (1, 0)])
def test_ends(count, shown):
    first, between, last = ends(count, shown)
    assert [*first, *between, *last] == list(range(count))
    assert len(first) + len(last) == min(count, shown)
    assert 0 <= len(first) - len(last) <= 1 or count <= shown


def test_every_pair_is_there_once_the_ends_in_full(tmp_path):
    html = written(tmp_path, [pair(count=9)])
    assert html.count('class="pair"') == 4
    assert "5 pairs between" in html
    for i in range(9):
        number = f"{1 - 0.3 * i:.2f}".replace("-", "−")
        assert len(re.findall(rf">{re.escape(number)}<", html)) >= 1
        assert html.count(f"a&lt;{i}&gt;</strong>") + html.count(f"a&lt;{i}&gt; <span") == 1
    assert "Most similar pairs" in html
    assert "Least similar pairs" in html
    few = written(tmp_path, [pair(count=4)])
    assert "pairs between" not in few
    assert "Least similar pairs" not in few


def test_bars_are_as_long_as_units_are_alike_and_carry_both_chances(tmp_path):
    html = written(tmp_path, [pair(count=4)])
    bars = re.findall(r'<i class="(\w+)" style="left:0;width:([\d.]+)%">', html)
    assert bars == [("for", "100.00"), ("for", "70.00"), ("for", "40.00"), ("for", "10.00")]
    marks = re.findall(r'class="mark" style="left:([\d.]+)%"', html)
    assert marks == ["10.00", "40.00"] * 4
    opposite = written(tmp_path, [pair(count=9)], shown=9)
    assert ("against", "80.00") in re.findall(r'<i class="(\w+)" style="left:0;width:([\d.]+)%">', opposite)


def test_units_without_a_partner(tmp_path):
    html = written(tmp_path, [pair(count=3, spare=2)])
    assert "2 prototypes of b without a partner" in html
    assert "of a without a partner" not in html
    assert html.count("b&lt;4&gt;") == 1
    assert "1 prototype of b" in written(tmp_path, [pair(count=3, spare=1)])


def test_pictures_are_small_and_described(tmp_path):
    html = written(tmp_path, [pair(count=2, pictured={0})])
    assert html.count("<img") == 4  # the piece and the whole, of one unit of either run
    assert 'alt="a&lt;0&gt;: picture 0"' in html
    assert "source patch" in html
    assert "class “owl”" in html
    assert "−1.50" in html
    assert "+0.50" not in html.split("a&lt;0&gt;")[0]


def test_three_runs(tmp_path):
    html = written(tmp_path, [pair("a", "b", note="Half of them."), pair("a", "c"), pair("b", "c")])
    for at, words in ((1, "1 and 2"), (2, "1 and 3"), (3, "2 and 3")):
        assert f'<a href="#pair-{at}">{words}</a>' in html
        assert f'id="pair-{at}"' in html
    assert "mean over pairs of runs" in html
    assert "Half of them." in html
    assert html.count("<details><summary><b>") == 2  # the first pair of runs is open
    assert "mean over pairs of runs" not in written(tmp_path, [pair()])


@pytest.mark.parametrize("by", list(MATCHINGS))
def test_every_way_is_explained(tmp_path, by):
    html = written(tmp_path, [pair()], by=by)
    assert MATCHINGS[by].similarity in html
    assert MATCHINGS[by].chance in html
    assert MATCHINGS[by].strict in html


def test_kinds_of_units(tmp_path):
    assert "Here each eigenvector of one run" in written(tmp_path, [pair()], kinds=["eigenvector"] * 2)
    assert "Here each unit of one run" in written(tmp_path, [pair()], kinds=["eigenvector", "concept"])


def test_self_contained_and_escaped(tmp_path):
    html = written(tmp_path, [pair(pictured={0})])
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)
    assert "<script" not in html
    assert "url(" not in html
    assert "Side &amp; side" in html
    assert "zoo &lt;compare&gt;" in html
    assert "a<0>" not in html
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["page.html"]


def test_wrong_input(tmp_path):
    with pytest.raises(ValueError, match="by is 'looks'; expected one of activations, directions, parts"):
        written(tmp_path, [pair()], by="looks")
    with pytest.raises(ValueError, match="a row has 2 figures; expected 1: pairs"):
        compare_page(
            tmp_path / "x.html",
            title="",
            lead="",
            by="parts",
            runs=[("a", ""), ("b", "")],
            columns=["pairs"],
            pairs=[pair()],
            mean=[""],
            kinds=["concept"] * 2,
        )
