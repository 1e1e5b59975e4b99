"""Interventions on units, one after another, and the answer after each."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel


@register
class InterventionSteps(Panel):
    """A table with one line for each intervention; every line keeps those above it."""

    order = 10
    region = "input"

    def applies(self, context: PageContext) -> bool:
        """Return whether there were interventions."""
        return bool(context.steps)

    def render(self, context: PageContext) -> str:
        """Return the table."""
        answer = context.answers[context.input_index]
        last = context.steps[-1].answer
        alone = answer.kind != "classification"  # the steps show one output
        other = "" if alone or last == answer.name else last
        return self.fill(steps=context.steps, answer=answer.target, other=other, quantity=context.quantity)
