"""The page of several runs side by side: which units of one run match units of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markupsafe import Markup

from zoo.reporting import heatmap
from zoo.reporting.bars import draw_similarity
from zoo.reporting.glossary import noun
from zoo.reporting.page import write_whole
from zoo.reporting.panel import ASSETS, fill
from zoo.reporting.unit_picture import Source

SIDE = 128  # pixels of a picture


@dataclass(frozen=True)
class UnitCard:
    """A unit of one run.

    Attributes:
        name: of the unit.
        amount: mean contribution to the logit of the true class over the samples.
        owner: name of the class that it belongs to; empty for none.
        source: where it came from, if its picture is shown.
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
        pairs: units of the left run, their partners in the right run, and their similarity, highest first.
        alone: names of the runs and their units without a partner.
        figures: cells of the row of the table: means and shares, already formatted.
        marks: the chance level and the strict chance level, drawn on every bar.
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
class MatchingText:
    """How a way of matching is explained to a reader.

    Attributes:
        similarity: what the similarity of two units is.
        chance: how the chance level is computed.
        strict: how the strict chance level is computed, and what a value above it means.
        shared: what units share that reach the strict chance level.
        dead: why units cannot be matched.
    """

    similarity: str
    chance: str
    strict: str
    shared: str
    dead: str


MATCHINGS: dict[str, MatchingText] = {
    "activations": MatchingText(
        "The Pearson correlation of the strengths of two units over all samples: 1 for units that rise and fall"
        " together, 0 for uncorrelated units, below 0 for units of opposite tendency.",
        "the samples of one run are shuffled",
        "samples are shuffled only within their class. Units that respond to a class as a whole reach this level; a"
        " similarity above it shows agreement beyond the class",
        "only their class",
        "have constant strength",
    ),
    "directions": MatchingText(
        "The cosine between the directions of two units in a feature space that the runs share: 1 for the same"
        " direction, 0 for orthogonal ones, below 0 for opposite ones (the absolute value where a direction and its"
        " negative are the same unit).",
        "the directions of both runs are random",
        "one run has random directions with the mean and covariance of its own. A similarity above it shows that single"
        " units were found again, and not only the same subspace",
        "only the subspace that they lie in",
        "have no direction",
    ),
    "parts": MatchingText(
        "The cosine between the rates at which two units are located at each object part: 1 for the same parts equally"
        " often, 0 for no part in common.",
        "the rates of each unit of one run are permuted over the parts",
        "the rates of each part are permuted over the units of the run. A similarity above it shows that single units"
        " were found again, and not only a preference of all units for some parts",
        "only a preference for some parts",
        "are located at no part",
    ),
}


def ends(count: int, shown: int) -> tuple[range, range, range]:
    """Return which of ``count`` pairs, most similar first, are shown: the first, those between (folded), the last."""
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
    kinds: Sequence[str],
    shown: int = 40,
    facts: Mapping[str, str] | None = None,
) -> Path:
    """Write a page that shows matched units side by side; as self-contained as ``page``.

    Args:
        path: the HTML file; its folder is made if needed.
        title: heading of the page.
        lead: one sentence under the title.
        by: how units were matched, one of ``MATCHINGS``.
        runs: name and description of each run.
        columns: names of the figures of a pair of runs.
        pairs: all pairs of runs.
        mean: the figures averaged over pairs of runs.
        kinds: what the units of each run are.
        shown: matched pairs with pictures for each pair of runs, half of them the most similar, half the least.
        facts: data, command, versions, in the order in which they are shown.

    Returns:
        ``path``

    Raises:
        ValueError: if ``by`` is unknown, or a row of figures does not fit the columns.
    """
    if by not in MATCHINGS:
        raise ValueError(f"by is {by!r}; expected one of {', '.join(MATCHINGS)}")
    for line in (*(p.figures for p in pairs), mean):
        if len(line) != len(columns):
            raise ValueError(f"a row has {len(line)} figures; expected {len(columns)}: {', '.join(columns)}")
    html = fill(
        ASSETS / "comparison.html",
        style=Markup((ASSETS / "comparison.css").read_text(encoding="utf-8")),
        title=title,
        lead=lead,
        matching=MATCHINGS[by],
        by=by,
        noun=noun(kinds[0] if len(set(kinds)) == 1 else "none"),
        runs=runs,
        columns=columns,
        mean=mean,
        sections=[(p, *ends(len(p.pairs), shown)) for p in pairs],
        facts=facts or {},
        pictures=cache(_pictures),
        level=draw_similarity,
        number=_number,
        number_of={name: i for i, (name, _) in enumerate(runs, 1)},
    )
    return write_whole(Path(path), html)


def _pictures(source: Source) -> list[tuple[str, str]]:
    """Return a unit's pictures, small, as ``data:`` URIs, and what each shows."""
    patch = source.cutout()
    drawn = [(source.whole(), "template" if source.is_template else source.caption)]
    if patch is not None:
        drawn.insert(0, (patch, "source patch"))
    for picture, _ in drawn:
        picture.thumbnail((SIDE, SIDE))
    return [(heatmap.data_uri(picture), words) for picture, words in drawn]


def _number(value: float, *, sign: bool = False) -> str:
    """Return a number with two digits after the point and a true minus; zero has no sign."""
    text = f"{round(value, 2) + 0.0:{'+' if sign else ''}.2f}"
    return text.replace("-", "−")
