"""The input, the answer of the model and whether it is correct."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.panel import Panel
from zoo.reporting.token_spans import spans


@register
class Answer(Panel):
    """The picture or text of an input beside the answer, its probability and the truth."""

    order = 10
    region = "head"

    def render(self, context: PageContext) -> str:
        """Return picture or text, and answer."""
        i = context.input_index
        picture = None
        if context.pictures is not None:
            picture = context.album.picture(context.pictures[i], "The input picture", kind="input")
        return self.fill(
            number=i + 1,
            several=context.count > 1,
            picture=picture,
            text=spans(context.tokens[i]) if context.tokens is not None else None,
            labeled_texts=context.labeled_texts,
            answer=context.answers[i],
        )
