"""The smallest change that would have given another answer."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel


@register
class CounterfactualPanel(Panel):
    """Sentences that name the fewest columns or concepts whose change flips the answer."""

    order = 27
    region = "input"

    def applies(self, context: PageContext) -> bool:
        """Return whether it was computed."""
        return bool(context.counterfactuals and context.counterfactuals[context.input_index])

    def render(self, context: PageContext) -> str:
        """Return the sentences."""
        return self.fill(sentences=context.counterfactuals[context.input_index], folded=context.count > 1)
