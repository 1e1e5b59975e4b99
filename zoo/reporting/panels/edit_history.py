"""The edits of a model: what was done, why, by whom and when, and the scores before and after."""

from __future__ import annotations

import shlex

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel


@register
class EditHistoryPanel(Panel):
    """A table of the edits since the model was trained, and the command that undoes them."""

    order = 75

    def applies(self, context: PageContext) -> bool:
        """Return whether the model was edited."""
        return context.history is not None

    def render(self, context: PageContext) -> str:
        """Return the tables."""
        history = context.history
        assert history is not None
        command = f"zoo edit {shlex.quote(history.checkpoint)} undo=all" if history.checkpoint else ""
        return self.fill(history=history, command=command)
