"""The card of a model of integer points: points of the values of each column, and the risk of every total."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.numbers import percent
from zoo.reporting.panel import Panel


@register
class PointsCard(Panel):
    """A table of points, and one of the risk by total."""

    order = 35

    def applies(self, context: PageContext) -> bool:
        """Return whether the model is a card."""
        return bool(context.card)

    def render(self, context: PageContext) -> str:
        """Return both tables; values of equal points share a line."""
        lines: dict[tuple[str, int], list[str]] = {}
        for column, values, points in context.card:
            lines.setdefault((column, points), []).append(values)
        rows = [(column, ", ".join(values), points) for (column, points), values in lines.items()]
        risks = [(total, percent(risk)) for total, risk in context.risks.items()]
        return self.fill(rows=rows, risks=risks, positive=context.class_names[-1])
