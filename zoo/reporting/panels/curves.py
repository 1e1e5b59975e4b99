"""The curves of scores, drawn as SVG."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel


@register
class Curves(Panel):
    """One drawing for each score that has curves."""

    order = 70

    def applies(self, context: PageContext) -> bool:
        """Return whether there are curves."""
        return bool(context.charts)

    def render(self, context: PageContext) -> str:
        """Return the drawings."""
        return self.fill(charts=context.charts)
