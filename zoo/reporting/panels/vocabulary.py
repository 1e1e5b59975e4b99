"""The vocabulary: all units with their scores, to sort, to search, and to strike out or rename."""

from __future__ import annotations

from zoo.registry import register
from zoo.reporting.context import PageContext
from zoo.reporting.interactive.recomputation import as_json
from zoo.reporting.panel import Panel
from zoo.reporting.unit_picture import small_picture

UNFOLDED = 20  # rows that are shown at first


@register
class VocabularyPanel(Panel):
    """A table of units; what a reader strikes out or renames becomes a file of edits and a command."""

    order = 85

    def applies(self, context: PageContext) -> bool:
        """Return whether the page has the vocabulary."""
        return context.unit_list is not None and bool(context.unit_list.units)

    def render(self, context: PageContext) -> str:
        """Return the table and, for a model that can be edited, the file of edits."""
        vocabulary = context.unit_list
        assert vocabulary is not None
        rows = [(unit, small_picture(context.album, unit.source, unit.name)) for unit in vocabulary.units]
        words = {"strike": vocabulary.strike, "model": vocabulary.model, "weights": vocabulary.weights}
        return self.fill(
            vocabulary=vocabulary,
            rows=rows,
            pictures=any(picture for _, picture in rows),
            noun=context.noun,
            data=as_json({**words, "command": vocabulary.command, "first": UNFOLDED}),
        )
