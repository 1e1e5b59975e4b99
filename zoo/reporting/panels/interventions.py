"""Interventions on units, one after another, and the answer after each."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel


@register
class Interventions(Panel):
    """A table with one line for each intervention; every line keeps those above it."""

    order = 10
    region = "input"

    def applies(self, context: PageContext) -> bool:
        """Return whether there were interventions."""
        return bool(context.steps)

    def render(self, context: PageContext) -> str:
        """Return the table."""
        answer = context.class_names[int(context.explanation.logits[context.input_index].argmax())]
        last = context.steps[-1].answer
        return self.fill(steps=context.steps, answer=answer, other=last if last != answer else "")
