"""How the page came about: model, data, command, hardware, versions."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel


@register
class RunFacts(Panel):
    """The facts of a run, as a list of names and values."""

    order = 90

    def applies(self, context: PageContext) -> bool:
        """Return whether there are facts."""
        return bool(context.facts)

    def render(self, context: PageContext) -> str:
        """Return the list."""
        return self.fill(facts=context.facts)
