"""Two inputs of a page side by side: pictures, answers, and what each unit adds to one class in both."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import BRIEF, PageContext
from zoo.reporting.panel import Panel


@register
class TwoInputs(Panel):
    """Two inputs that a reader picks, and the difference of their sums, unit by unit.

    The script reads the numbers of the what-if panels, so the difference is exact for any class.
    """

    order = 33

    def applies(self, context: PageContext) -> bool:
        """Return whether a page that answers itself has two inputs, and few enough that each is told in full."""
        what = context.recomputation
        return what is not None and not what.reason and 2 <= context.count <= BRIEF

    def render(self, context: PageContext) -> str:
        """Return the choices, which the script fills."""
        return self.fill(
            inputs=[f"Input {i}: “{answer.name}”" for i, answer in enumerate(context.answers, 1)],
            noun=context.noun,
            classes=list(context.class_names) if len(context.class_names) > 1 else [],
        )
