"""What a reader must not miss, at the top of the page."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel


@register
class Warnings(Panel):
    """Warnings about the model, such as a class of which no input is found."""

    order = 5

    def applies(self, context: PageContext) -> bool:
        """Return whether there are warnings."""
        return bool(context.warnings)

    def render(self, context: PageContext) -> str:
        """Return the list."""
        return self.fill(warnings=context.warnings)
