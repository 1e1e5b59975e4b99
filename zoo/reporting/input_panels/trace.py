"""The intermediate values of a computation, position by position."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel


@register
class Trace(Panel):
    """A table of the variables that a model computes on the way, such as those of a program."""

    order = 30
    region = "head"

    def applies(self, context: PageContext) -> bool:
        """Return whether the model has a trace of the input."""
        return bool(context.traces and context.traces[context.input_index])

    def render(self, context: PageContext) -> str:
        """Return the table."""
        return self.fill(rows=context.traces[context.input_index])
