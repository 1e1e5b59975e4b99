"""The confusion matrix: how often each class is predicted for each class."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel

LARGEST = 20  # classes of which the matrix is shown
OF_LABELS = ("correctly absent", "wrongly predicted", "missed", "correctly predicted")


@register
class Confusion(Panel):
    """A row for each true class and a column for each predicted one; of labels the four kinds of answers."""

    order = 65

    def applies(self, context: PageContext) -> bool:
        """Return whether there is a matrix of few classes."""
        return 0 < len(context.confusion) <= LARGEST

    def render(self, context: PageContext) -> str:
        """Return the table."""
        labels = context.task is not None and context.task.kind == "multilabel"
        names = OF_LABELS if labels else context.class_names
        rows = [
            (name, [(int(n), labels or i == j) for j, n in enumerate(row)])
            for i, (name, row) in enumerate(zip(context.class_names, context.confusion, strict=True))
        ]
        return self.fill(columns=names, rows=rows, labels=labels)
