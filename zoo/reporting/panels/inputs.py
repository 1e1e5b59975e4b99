"""The inputs, one article each, made of the panels of the regions ``head`` and ``input``."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel, render


@register
class Inputs(Panel):
    """For each input its head (picture, answer, classes) and, below it, the reasons for the answer."""

    order = 30

    def applies(self, context: PageContext) -> bool:
        """Return whether there are inputs."""
        return context.count > 0

    def render(self, context: PageContext) -> str:
        """Return the articles."""
        contexts = [context.at(i) for i in range(context.count)]
        return self.fill(inputs=[(i, render("head", c), render("input", c)) for i, c in enumerate(contexts, 1)])
