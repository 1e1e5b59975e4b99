"""The logits and probabilities of the leading classes."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.bars import draw_bars
from zoo.reporting.context import PageContext
from zoo.reporting.numbers import input_digits, percent, show, whole
from zoo.reporting.panel import Panel

CLASSES = 5  # classes whose logits are drawn
BRIEF_CLASSES = 3  # the same on a page with many inputs


@register
class ClassScores(Panel):
    """A bar for each of the classes with the largest logits."""

    order = 50
    region = "head"

    def applies(self, context: PageContext) -> bool:
        """Return whether there are classes or labels."""
        return context.quantity == "logit"

    def render(self, context: PageContext) -> str:
        """Return the table of classes."""
        i = context.input_index
        logits = context.explanation.logits[i].double()
        probabilities = context.answers[i].probabilities
        largest: list[int] = logits.topk(min(BRIEF_CLASSES if context.brief else CLASSES, len(logits))).indices.tolist()
        digits = input_digits(context.explanations, i)
        rows = [
            {
                "name": context.class_names[c],
                "bar": bar,
                "logit": show(whole(logits[c].item(), digits), digits),
                "probability": percent(probabilities[c]),
            }
            for c, bar in zip(largest, draw_bars(logits[largest].tolist()), strict=True)
        ]
        return self.fill(rows=rows, what="Labels" if context.answers[i].kind == "multilabel" else "Classes")
