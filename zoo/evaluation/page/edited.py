"""The history of an edited model for its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.model import SelfExplaining
from zoo.reporting.interactive.edit_history import ChangeRow, EditHistory, EditRow


def edit_history(
    model: SelfExplaining, metrics: Mapping[str, Any] | None = None, checkpoint: str = ""
) -> EditHistory | None:
    """Return the edits of a model with the scores that its checkpoint holds; None for one that was never edited.

    Args:
        model: with its history.
        metrics: of its checkpoint; None for none.
        checkpoint: as on the command line; empty if it is not stored.
    """
    history = model.history
    if history is None:
        return None
    rows = [EditRow(str(e), e.why, e.who, e.when) for e in (step.edit for step in history.steps)]
    stored = (metrics or {}).get("edits", {}).get("scores", [])
    changes = [
        ChangeRow(f"{c['part']} ({c['rows']})", c["score"], _number(c["before"]), _number(c["after"])) for c in stored
    ]
    return EditHistory(history.model, rows, changes, checkpoint)


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4g}".replace("-", "−")
