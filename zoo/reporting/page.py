"""The report page: explanations in, one self-contained HTML file out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from torch import Tensor

from zoo.explanation import Explanation
from zoo.reporting import heatmap, input_card
from zoo.reporting.chart import Chart, chart
from zoo.reporting.glossary import GLOSSARY, visible
from zoo.reporting.unit_source import Source, unit_picture

__all__ = ["Chart", "ScoreRow", "Source", "StepRow", "UnitRow", "chart", "page", "unit_picture"]

OPEN = 3  # units that stay unfolded where a page has several inputs


@dataclass(frozen=True)
class ScoreRow:
    """One line of the score table.

    Attributes:
        name: the score.
        value: already formatted, or ``n/a: why``.
        protocol: the exact way it was computed; only scores with one protocol id may be compared.
        note: one line that says in plain words what the score means.
    """

    name: str
    value: str
    protocol: str
    note: str = ""


@dataclass(frozen=True)
class UnitRow:
    """One unit and how it fares, in a list that begins with the worst.

    Attributes:
        name: of the unit.
        owner: the class it argues for; empty if it belongs to none.
        source: where it came from, or its portrait.
        values: a word for each score of units, in one order for all rows; empty where it cannot be judged.
    """

    name: str
    owner: str
    source: Source | None
    values: Sequence[str]

    @property
    def image(self) -> str | None:
        """Data address of its picture."""
        return self.source and heatmap.data_uri(unit_picture(self.source))


@dataclass(frozen=True)
class StepRow:
    """One unit or group that a person set, and the answer after it.

    Attributes:
        name: of what was set; empty for the answer before anything was.
        before: what the model had sensed.
        after: what the person says.
        answer: the class that leads now.
        chance: its probability, in words.
        old: score of the class that led before anything was set.
        new: score of the class that leads in the end.
    """

    name: str
    before: str
    after: str
    answer: str
    chance: str
    old: str
    new: str


def page(
    path: str | Path,
    *,
    title: str,
    explanation: Explanation,
    pictures: Tensor | None,
    class_names: Sequence[str],
    truth: Tensor | None = None,
    sources: Mapping[int, Source] | None = None,
    scores: Sequence[ScoreRow] = (),
    facts: Mapping[str, str] | None = None,
    lead: str = "",
    also: Explanation | None = None,
    notes: Sequence[Mapping[int, str]] = (),
    details: Sequence[Sequence[tuple[str, str]]] = (),
    traces: Sequence[Sequence[tuple[str, Sequence[str]]]] = (),
    sums: Sequence[Sequence[tuple[str, Sequence[float]]]] = (),
    charts: Sequence[Chart] = (),
    steps: Sequence[StepRow] = (),
    units: Sequence[UnitRow] = (),
    tokens: Sequence[Sequence[str]] | None = None,
    unit_scores: Sequence[str] = (),
) -> Path:
    """Write a page that shows, for each input, what decided and how it adds up to the answer.

    The file is written beside its place and then renamed: a page is there completely or not at all.

    Args:
        path: the HTML file; its folder is made if needed.
        title: heading of the page.
        explanation: of b inputs.
        pictures: ``(b, 3, s, s)`` in 0..1, the inputs before normalisation; None where inputs are no pictures.
        class_names: c names.
        truth: ``(b,)`` true classes, if known.
        sources: where units came from, by unit id; units without an entry are shown without a picture.
        scores: the score table.
        facts: model, data, command, version, seeds, hardware, in the order they are to be read.
        lead: one sentence under the title.
        also: a second explanation of the same inputs, such as that of the true class, shown folded wherever it
            explains another class than the first.
        notes: for each input, a few words on some of its units, by unit id; ✓ or ✗ in front colours them.
        details: for each input that is a row of a table, names and values.
        traces: for each input what was computed on the way: names and values along it.
        sums: for each input what each unit adds to each class, the last row the sum.
        charts: curves to draw under the scores.
        units: how single units fare, worst first.
        unit_scores: names of the scores that their ``values`` are of.
        tokens: for each input that is a text, the texts of its tokens.
        steps: what a person set, one after another, and what the answer became; of the only input.

    Returns:
        ``path``

    Raises:
        ValueError: if explanation, pictures, class names and truth do not fit together, or a picture is not in 0..1.
    """
    b, c = explanation.logits.shape
    for field, found, expected in (
        ("pictures", b if pictures is None else len(pictures), b),
        ("truth", b if truth is None else len(truth), b),
        ("also", b if also is None else len(also), b),
        ("class_names", len(class_names), c),
        ("notes", len(notes) or b, b),
        ("details", len(details) or b, b),
        ("tokens", b if tokens is None else len(tokens), b),
        ("traces", len(traces) or b, b),
        ("sums", len(sums) or b, b),
    ):
        if found != expected:
            raise ValueError(f"page: {field} has {found} entries; expected {expected} to fit the explanation")

    explanations = [e.detach().to("cpu") for e in (explanation, also) if e is not None]
    shared = {"pictures": pictures, "class_names": class_names, "truth": truth, "sources": sources or {}}
    shared |= {"notes": notes, "details": details, "tokens": tokens or (), "traces": traces, "sums": sums}
    if tokens is not None:
        shared["class_names"] = [visible(name) for name in class_names]
    html = _template().render(
        title=title,
        lead=lead,
        word=GLOSSARY[explanation.units.kind],
        kind=explanation.units.kind,
        method=explanation.method,
        placed=explanation.where is not None and pictures is not None,
        read=tokens is not None and explanation.where is not None,
        cards=[input_card.card(i, explanations, **shared) for i in range(b)],
        fold=OPEN if b > 1 else None,
        scores=scores,
        facts=facts or {},
        charts=charts,
        steps=steps,
        units=units,
        unit_scores=unit_scores,
    )
    return _write(Path(path), html)


def _template(name: str = "page.html") -> Template:
    folder = Path(__file__).parent / "assets"
    settings = {"autoescape": True, "undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    return Environment(loader=FileSystemLoader(folder), **settings).get_template(name)


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
