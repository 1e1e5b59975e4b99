"""What if: controls that change an input or its units, and the answer that follows, computed in the page."""

from __future__ import annotations

from typing import Any

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.interactive.recomputation import Recomputation, as_json
from zoo.reporting.panel import Panel
from zoo.task import Classification

UNFOLDED = 16  # controls that are shown unfolded


@register
class WhatIf(Panel):
    """Sliders, choices and switches beside the answer to the changed input; or the command that computes it."""

    order = 30
    region = "input"

    def applies(self, context: PageContext) -> bool:
        """Return whether the page knows what can be changed."""
        return context.recomputation is not None

    def needs_script(self, context: PageContext) -> bool:
        """Return whether the page answers itself."""
        return context.recomputation is not None and not context.recomputation.reason

    def render(self, context: PageContext) -> str:
        """Return the controls and, as data, the numbers that the script reads."""
        what, i = context.recomputation, context.input_index
        assert what is not None
        task = context.task or Classification(len(context.class_names))
        impossible = bool(what.reason)
        return self.fill(
            number=i + 1,
            reason=what.reason,
            command=what.commands[i] if what.commands else "",
            shared=as_json(self._shared(context, what)) if i == 0 and not impossible else "",
            data="" if impossible else as_json(what.of_input(i)),
            noun=context.noun,
            kind=task.kind,
            folded=context.count > 1,
        )

    def _shared(self, context: PageContext, what: Recomputation) -> dict[str, Any]:
        task = context.task or Classification(len(context.class_names))
        start = "starting value" if context.mean_strengths is not None else "base"
        return what.shared(task, context.class_names) | {"unfolded": UNFOLDED, "start": start}
