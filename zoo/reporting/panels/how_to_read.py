"""How to read the page: what the units are, what colors, bars and sums mean."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel


@register
class HowToRead(Panel):
    """An introduction for a reader who has never seen such a page; begins with ``Units.describe``."""

    order = 10

    def render(self, context: PageContext) -> str:
        """Return the introduction."""
        units, located = context.vocabulary, context.explanation.where is not None
        return self.fill(
            has_units=len(units) > 0,
            describe=units.describe,
            noun=context.noun,
            pictures=located and context.pictures is not None,
            texts=located and context.tokens is not None,
            labeled_texts=context.labeled_texts,
            signed=units.signed,
            binary=units.binary,
            quantity=context.quantity,
            from_mean=context.mean_strengths is not None,
            labels=context.task is not None and context.task.kind == "multilabel",
        )
