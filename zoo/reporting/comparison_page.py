"""The page of several runs beside each other: which units of one training came back in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from zoo.explanation import Kind
from zoo.reporting import heatmap
from zoo.reporting.glossary import GLOSSARY
from zoo.reporting.numbers import Bar
from zoo.reporting.page import _template, _write
from zoo.reporting.unit_source import Source

SIDE = 128  # pixels of a picture


@dataclass(frozen=True)
class UnitCard:
    """A unit of one run.

    Attributes:
        name: of the unit.
        amount: what it adds to the score of the true class, mean over the samples.
        owner: name of the class that it belongs to; empty for none.
        source: where it came from, if it is to be pictured.
    """

    name: str
    amount: float
    owner: str = ""
    source: Source | None = None


@dataclass(frozen=True)
class RunPair:
    """Two runs with their units matched.

    Attributes:
        left: name of one run.
        right: name of the other.
        pairs: units of the left run, their partners in the right, and how alike they are, most alike first.
        alone: names of the runs and their units that have no partner.
        figures: cells of the table's line: means and shares, already formatted.
        marks: the two chance values, drawn on every bar.
        note: one sentence on the pairs.
    """

    left: str
    right: str
    pairs: Sequence[tuple[UnitCard, UnitCard, float]]
    alone: Sequence[tuple[str, Sequence[UnitCard]]]
    figures: Sequence[str]
    marks: tuple[float, float]
    note: str = ""


@dataclass(frozen=True)
class How:
    """What a way of matching compares, for a reader.

    Attributes:
        alike: when two units are alike.
        chance: how the chance value was found.
        strict: how the strict chance was found, and what lies above it.
        shared: what units have in common that reach the strict chance.
        dead: what is the matter with units that are like none of the other run.
    """

    alike: str
    chance: str
    strict: str
    shared: str
    dead: str


WAYS: dict[str, How] = {
    "activations": How(
        "Two units are alike if they are strong on the same samples and weak on the same samples: the similarity is"
        " the correlation of their strengths. 1 means that they always rise and fall together, 0 that one says"
        " nothing about the other, below 0 that one falls where the other rises.",
        "the samples of one run are shuffled, so that no resemblance is real",
        "samples are shuffled only among those of the same class. Units that respond to a class, whatever they see in"
        " it, reach this much; what lies above it says that they agree on more than the class",
        "no more than their class",
        "never change",
    ),
    "directions": How(
        "Two units are alike if they point in the same direction of a space that the runs share: the similarity is"
        " the cosine of the angle between them. 1 means the same direction, 0 a right angle, below 0 opposite ways"
        " (which count as the same way where a unit works alike in both).",
        "both runs have random directions in their place",
        "one run has random directions that keep to the same region of the space as its own. What lies above it says"
        " that single units came back, and not only the region",
        "no more than the region of the space that they lie in",
        "have no direction",
    ),
    "parts": How(
        "Two units are alike if they look at the same parts of the object: the similarity is the cosine between the"
        " rates at which they look at each part. 1 means the same parts equally often, 0 no part in common.",
        "each unit of one run looks at parts drawn at random, at its own rates",
        "each part is looked at as often as before, but by other units of its run. What lies above it says that single"
        " units came back, and not only a liking for some parts",
        "no more than a liking for some parts",
        "look at no part",
    ),
}


def ends(count: int, shown: int) -> tuple[range, range, range]:
    """Which of ``count`` pairs, most alike first, are shown in full: the first, those between (folded), the last."""
    if count <= shown:
        return range(count), range(0), range(0)
    first, last = shown - shown // 2, count - shown // 2
    return range(first), range(first, last), range(last, count)


def compare_page(
    path: str | Path,
    *,
    title: str,
    lead: str,
    by: str,
    runs: Sequence[tuple[str, str]],
    columns: Sequence[str],
    pairs: Sequence[RunPair],
    mean: Sequence[str],
    kinds: Sequence[Kind],
    shown: int = 40,
    facts: Mapping[str, str] | None = None,
) -> Path:
    """Write a page that shows matched units side by side.

    Args:
        path: the HTML file; its folder is made if needed.
        title: heading of the page.
        lead: one sentence under the title.
        by: how units were matched, one of ``WAYS``.
        runs: each run's name, and what there is to say of it.
        columns: names of the figures of a pair of runs.
        pairs: all pairs of runs.
        mean: the figures averaged over pairs of runs.
        kinds: what the units of each run are.
        shown: matched pairs pictured for each pair of runs, half of them the most alike, half the least.
        facts: data, command, versions, in the order they are to be read.

    Returns:
        ``path``

    Raises:
        ValueError: if ``by`` is unknown, or a line of figures does not fit the columns.
    """
    if by not in WAYS:
        raise ValueError(f"by is {by!r}; expected one of {', '.join(WAYS)}")
    for line in (*(p.figures for p in pairs), mean):
        if len(line) != len(columns):
            raise ValueError(f"a line has {len(line)} figures; expected {len(columns)}: {', '.join(columns)}")
    word = GLOSSARY[kinds[0] if len(set(kinds)) == 1 else "none"]
    html = _template("compare.html").render(
        title=title,
        lead=lead,
        way=WAYS[by],
        by=by,
        word=word,
        runs=runs,
        columns=columns,
        mean=mean,
        sections=[(p, *ends(len(p.pairs), shown)) for p in pairs],
        facts=facts or {},
        pictures=cache(_pictures),
        level=_level,
        number=_number,
        number_of={name: i for i, (name, _) in enumerate(runs, 1)},
    )
    return _write(Path(path), html)


def _pictures(source: Source) -> list[tuple[str, str]]:
    """Data addresses of a unit's pictures, small, and what each shows."""
    piece = source.cutout()
    drawn = [(source.whole(), "the pattern" if source.portrait else source.caption)]
    drawn = [(piece, "the piece that it stands for"), *drawn] if piece is not None else drawn
    for picture, _ in drawn:
        picture.thumbnail((SIDE, SIDE))
    return [(heatmap.data_uri(picture), words) for picture, words in drawn]


def _level(similarity: float) -> Bar:
    """A bar from 0, of full length at 1 and at -1."""
    side = "for" if similarity > 0 else "against" if similarity < 0 else "neither"
    return Bar(0.0, 0.0, 100 * min(1.0, abs(similarity)), side)


def _number(value: float, *, sign: bool = False) -> str:
    """Two digits after the point and a true minus; never a minus before zero."""
    text = f"{round(value, 2) + 0.0:{'+' if sign else ''}.2f}"
    return text.replace("-", "−")
