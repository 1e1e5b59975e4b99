"""What each active unit adds to each class."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel


@register
class ClassSums(Panel):
    """A table of contributions, one column for each class; the last row is the sum."""

    order = 40
    region = "head"

    def applies(self, context: PageContext) -> bool:
        """Return whether the model gives contributions to all classes of the input."""
        return bool(context.class_sums and context.class_sums[context.input_index])

    def render(self, context: PageContext) -> str:
        """Return the table."""
        rows = context.class_sums[context.input_index]
        return self.fill(rows=[("", context.class_names), *((name, [f"{v:+.3f}" for v in row]) for name, row in rows)])
