"""The picture of one explanation for a model card: of an image or a row, or of a text."""

from __future__ import annotations

from PIL import Image

from zoo.reporting.context import PageContext
from zoo.reporting.figures.image_figure import figure
from zoo.reporting.figures.text_figure import text_figure


def figure_of(context: PageContext, i: int = 0) -> Image.Image | None:
    """Return the picture of input ``i`` of a page; None for a model without units."""
    if not len(context.vocabulary):
        return None
    if context.tokens is not None:
        notes = context.notes[i] if context.notes else None
        options = {"class_names": context.class_names, "notes": notes, "labeled": context.labeled_texts}
        return text_figure(context.explanation, i, context.tokens[i], **options)
    picture = None if context.pictures is None else context.pictures[i]
    return figure(context.explanation, i, picture, class_names=context.class_names, sources=context.sources)
