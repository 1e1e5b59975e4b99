"""The text with what leaving each word out changes."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel
from zoo.reporting.token_spans import spans


@register
class Occlusion(Panel):
    """The words of a text, colored by how much the logit of the answer falls without them."""

    order = 17
    region = "input"

    def applies(self, context: PageContext) -> bool:
        """Whether it was computed."""
        return bool(context.occlusions) and context.tokens is not None

    def render(self, context: PageContext) -> str:
        """Return the colored text and what its colors mean."""
        i = context.input_index
        assert context.tokens is not None
        evidence = context.occlusions[i]
        return self.fill(
            text=spans(context.tokens[i], evidence),
            target=context.class_names[int(context.explanation.target[i])],
            largest=f"{float(evidence.abs().max()) if len(evidence) else 0.0:.2f}",
        )
