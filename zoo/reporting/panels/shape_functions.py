"""The shape functions of an additive model, with bands and the density of the training rows."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.figures import shape_plot
from zoo.reporting.panel import Panel

UNFOLDED = 8  # drawings above the fold


@register
class ShapeFunctions(Panel):
    """One drawing for each of the most important terms."""

    order = 40

    def applies(self, context: PageContext) -> bool:
        """Return whether the units are shape functions."""
        return bool(context.shapes)

    def render(self, context: PageContext) -> str:
        """Return the drawings."""
        return self.fill(
            first=context.shapes[:UNFOLDED],
            rest=context.shapes[UNFOLDED:],
            width=shape_plot.WIDTH,
            height=shape_plot.HEIGHT,
            strip=shape_plot.STRIP,
            edge=shape_plot.EDGE,
        )
