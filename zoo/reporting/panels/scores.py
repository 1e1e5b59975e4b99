"""The score table: value, protocol and meaning of each score."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel


@register
class Scores(Panel):
    """All scores of a model, with protocol ids."""

    order = 60

    def applies(self, context: PageContext) -> bool:
        """Return whether there are scores."""
        return bool(context.scores)

    def render(self, context: PageContext) -> str:
        """Return the table."""
        return self.fill(scores=context.scores)
