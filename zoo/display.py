"""How results show themselves: short texts, small HTML cards for notebooks, and pandas frames.

HTML is self-contained and escaped: names come from data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

INPUTS = 3  # inputs of an explanation in a text or a card
UNITS = 5  # units of an input in a text or a card
ROWS = 40  # rows of a table in a card
STYLE = "border-collapse:collapse;font-size:13px"
CELL = "padding:2px 8px;text-align:left"
TRACK = "display:inline-block;position:relative;width:140px;height:10px;background:#f1f5f9"


class Explained(Protocol):
    """What this module reads of an ``Explanation``."""

    def __len__(self) -> int: ...

    @property
    def units(self) -> Any:
        """The vocabulary."""
        ...

    @property
    def logits(self) -> Tensor:
        """``(b, c)``."""
        ...

    @property
    def target(self) -> Tensor:
        """``(b,)``."""
        ...

    @property
    def strength(self) -> Tensor:
        """``(b, u)``."""
        ...

    @property
    def contribution(self) -> Tensor:
        """``(b, u)``."""
        ...

    @property
    def shown(self) -> Tensor:
        """``(b, k)``."""
        ...

    @property
    def method(self) -> str:
        """How contributions were computed."""
        ...


class Table(ABC):
    """A result that is a table: a short text, a small HTML table, a frame. A subclass defines ``_table``."""

    @abstractmethod
    def _table(self) -> tuple[str, Sequence[str], Sequence[Sequence[Any]]]:
        """Return the title, the names of the columns and the rows."""

    def __repr__(self) -> str:
        """One line for the title, then one for each row."""
        title, columns, rows = self._table()
        return table_text(title, columns, rows) if rows else title

    def _repr_html_(self) -> str:
        title, columns, rows = self._table()
        return table_html(title, columns, rows) if rows else f"<p><b>{escape(title)}</b></p>"

    def to_pandas(self) -> pd.DataFrame:
        """Return the table as a frame."""
        import pandas as pd

        _, columns, rows = self._table()
        return pd.DataFrame([list(row) for row in rows], columns=list(columns))


def table_text(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table as aligned text, cut after ``ROWS`` rows.

    Example:
        >>> print(table_text("two scores", ["score", "value"], [["accuracy", "0.5"], ["stability", "90"]]))
        two scores
          score      value
          accuracy   0.5
          stability  90
    """
    cells = [[str(cell) for cell in row] for row in (columns, *rows[:ROWS])]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    lines = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    if len(rows) > ROWS:
        lines.append(f"  ... and {len(rows) - ROWS} more")
    return "\n".join([title, *(line.rstrip() for line in lines)])


def table_html(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table as HTML, cut after ``ROWS`` rows; every cell is escaped."""
    head = "".join(f'<th style="{CELL}">{escape(name)}</th>' for name in columns)
    body = "".join(
        "<tr>" + "".join(f'<td style="{CELL}">{escape(str(cell))}</td>' for cell in row) + "</tr>"
        for row in rows[:ROWS]
    )
    more = f"<p>... and {len(rows) - ROWS} more</p>" if len(rows) > ROWS else ""
    return f'<p><b>{escape(title)}</b></p><table style="{STYLE}"><tr>{head}</tr>{body}</table>{more}'


def explanation_text(explanation: Explained) -> str:
    """Return an explanation in a few lines: its size, and the largest units of the first inputs."""
    lines = [_headline(explanation)]
    for i in range(min(INPUTS, len(explanation))):
        parts = [f"{value:+.3g} {name}" for name, value in _largest(explanation, i)]
        lines.append(f"  {i}: {_answer(explanation, i)} = {' '.join([*parts, _rest(explanation, i)])}")
    if len(explanation) > INPUTS:
        lines.append(f"  ... and {len(explanation) - INPUTS} more inputs")
    return "\n".join(lines)


def explanation_html(explanation: Explained) -> str:
    """Return an explanation as a small card: a bar for each of the largest units of the first inputs."""
    cards = []
    for i in range(min(INPUTS, len(explanation))):
        units = _largest(explanation, i)
        scale = max((abs(value) for _, value in units), default=0.0) or 1.0
        rows = "".join(
            f'<tr><td style="{CELL}">{escape(name)}</td><td>{_bar(value / scale)}</td>'
            f'<td style="{CELL}">{value:+.3g}</td></tr>'
            for name, value in units
        )
        rest = f'<tr><td style="{CELL}" colspan="3">{escape(_rest(explanation, i))}</td></tr>'
        title = f'<tr><th style="{CELL}" colspan="3">{i}: {escape(_answer(explanation, i))}</th></tr>'
        cards.append(f'<table style="{STYLE}">{title}{rows}{rest}</table>')
    more = f"<p>... and {len(explanation) - INPUTS} more inputs</p>" if len(explanation) > INPUTS else ""
    return f"<p><b>{escape(_headline(explanation))}</b></p>{''.join(cards)}{more}"


def explanation_frame(explanation: Explained) -> pd.DataFrame:
    """Return an explanation as a frame with one row for each shown unit of each input."""
    import pandas as pd

    rows = []
    targets, logits = explanation.target.tolist(), _logits(explanation)
    for i, units in enumerate(explanation.shown.tolist()):
        for rank, unit in enumerate(u for u in units if u >= 0):
            amounts = explanation.strength[i, unit].item(), explanation.contribution[i, unit].item()
            rows.append((i, targets[i], logits[i], rank, unit, explanation.units.names[unit], *amounts))
    columns = ["input", "target", "logit", "rank", "unit", "name", "strength", "contribution"]
    return pd.DataFrame(rows, columns=columns)


def _headline(explanation: Explained) -> str:
    inputs = "1 input" if len(explanation) == 1 else f"{len(explanation)} inputs"
    kind, count = explanation.units.kind, len(explanation.units)
    return f"Explanation of {inputs} by {count} units of kind {kind}, {explanation.method}"


def _logits(explanation: Explained) -> list[float]:
    return explanation.logits.gather(1, explanation.target[:, None])[:, 0].tolist()


def _answer(explanation: Explained, i: int) -> str:
    return f"logit {_logits(explanation)[i]:.3g} of class {int(explanation.target[i])}"


def _largest(explanation: Explained, i: int) -> list[tuple[str, float]]:
    """Return name and contribution of the first shown units of an input."""
    units = [unit for unit in explanation.shown[i].tolist() if unit >= 0][:UNITS]
    return [(explanation.units.names[unit], explanation.contribution[i, unit].item()) for unit in units]


def _rest(explanation: Explained, i: int) -> str:
    """Return what the units that are not named and the base add up to."""
    named = sum(value for _, value in _largest(explanation, i))
    return f"{_logits(explanation)[i] - named:+.3g} all other units, base"


def _bar(share: float) -> str:
    """Return a bar from the middle of its track, to the right for a positive share of the largest."""
    left = 50 if share >= 0 else 50 + 50 * share
    color = "#0f766e" if share >= 0 else "#b91c1c"
    inner = f"position:absolute;top:0;height:10px;left:{left:.1f}%;width:{50 * abs(share):.1f}%;background:{color}"
    return f'<span style="{TRACK}"><span style="{inner}"></span></span>'
