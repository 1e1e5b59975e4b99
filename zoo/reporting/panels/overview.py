"""All inputs of the page at a glance, each with its answer and a link."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel


@register
class Overview(Panel):
    """Small pictures of the inputs with their answers; correct and wrong ones are marked."""

    order = 20

    def applies(self, context: PageContext) -> bool:
        """Return whether there are several inputs."""
        return context.count > 1

    def render(self, context: PageContext) -> str:
        """Return the list of inputs."""
        rows = []
        for i, answer in enumerate(context.answers):
            row = {"number": i + 1, "answer": answer.name, "correct": answer.correct, "picture": None}
            if context.pictures is not None:
                row["picture"] = context.album.picture(context.pictures[i], f"Input {i + 1}")
            rows.append(row)
        return self.fill(rows=rows)
