"""The units with the lowest per-unit scores."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel
from zoo.reporting.unit_picture import small_picture


@register
class LowestUnits(Panel):
    """A table of units, lowest mean score first, with their pictures."""

    order = 80

    def applies(self, context: PageContext) -> bool:
        """Return whether units were ranked, and are not listed all."""
        return bool(context.units) and context.unit_list is None

    def render(self, context: PageContext) -> str:
        """Return the table."""
        rows = [(row, small_picture(context.album, row.source, row.name)) for row in context.units]
        return self.fill(units=rows, unit_scores=context.unit_scores, noun=context.noun)
