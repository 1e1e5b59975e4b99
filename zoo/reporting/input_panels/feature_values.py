"""The values of an input that is a row of a table."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel


@register
class FeatureValues(Panel):
    """Names and values of the features of an input."""

    order = 20
    region = "head"

    def applies(self, context: PageContext) -> bool:
        """Return whether the input has named features."""
        return bool(context.feature_values and context.feature_values[context.input_index])

    def render(self, context: PageContext) -> str:
        """Return the list of values."""
        return self.fill(rows=context.feature_values[context.input_index])
