"""The pages of an audit: sections of tables, with the shape functions of an additive model, that print well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from zoo.reporting.figures import shape_plot
from zoo.reporting.figures.shape_plot import ShapePlot
from zoo.reporting.page import write_whole
from zoo.reporting.panel import ASSETS, fill
from zoo.reporting.panels.shape_functions import ShapeFunctions

STYLE = (
    ".audit { font-size: .72rem; overflow-wrap: normal; }"
    " .audit th { border-bottom: 1px solid var(--line); padding-right: .3rem; vertical-align: bottom; }"
    " .audit td { border-bottom: 1px solid var(--line); padding: .15rem .3rem .15rem 0; vertical-align: top; }"
    " @media print { section { break-inside: auto; border: 0; padding: 0; } tr { break-inside: avoid; }"
    " thead { display: table-header-group; } body { max-width: none; }"
    " .shapes { grid-template-columns: 1fr 1fr; gap: .75rem 1rem; } h2 { break-after: avoid; } }"
)


def section(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], note: str = "") -> Markup:
    """Return a heading with a table; numbers have three digits."""
    texts = [[_cell(cell) for cell in row] for row in rows]
    return fill(ASSETS / "audit.html", title=title, columns=columns, rows=texts, note=note)


def _cell(cell: Any) -> str:
    if isinstance(cell, float):
        return "n/a" if cell != cell else f"{cell:.3g}".replace("-", "\u2212")
    return str(cell)


def shapes_section(plots: Sequence[ShapePlot]) -> Markup:
    """Return the drawings of the shape functions, none of them folded: paper does not unfold."""
    sizes = {"width": shape_plot.WIDTH, "height": shape_plot.HEIGHT}
    sizes |= {"strip": shape_plot.STRIP, "edge": shape_plot.EDGE}
    return Markup(ShapeFunctions().fill(first=plots, rest=[], **sizes))


def audit_page(path: Path, title: str, lead: str, sections: Sequence[Markup]) -> Path:
    """Write the page; it loads nothing."""
    style = Markup(ShapeFunctions().style() + STYLE)
    html = fill(ASSETS / "page.html", title=title, lead=lead, style=style, sections=sections, script="")
    return write_whole(path, html)
