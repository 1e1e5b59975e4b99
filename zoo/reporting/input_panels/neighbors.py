"""The nearest training cases: those that the model answers alike for the most similar reasons."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel


@register
class NeighborsPanel(Panel):
    """Training cases with their pictures or values, their true class and the distance of their contributions."""

    order = 28
    region = "input"

    def applies(self, context: PageContext) -> bool:
        """Return whether neighbors were looked for."""
        return bool(context.neighbors)

    def render(self, context: PageContext) -> str:
        """Return the list of cases, nearest first."""
        rows = [
            (case, None if case.picture is None else context.album.picture(case.picture, f"Training case {case.name}"))
            for case in context.neighbors[context.input_index]
        ]
        return self.fill(rows=rows, quantity=context.quantity, noun=context.noun, folded=context.count > 1)
