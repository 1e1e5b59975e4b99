"""The edits of a model as a page lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class EditRow(NamedTuple):
    """One edit: the operation with its unit and arguments, and its note."""

    what: str
    why: str = ""
    who: str = ""
    when: str = ""


class ChangeRow(NamedTuple):
    """One score of some rows of the test split before the edits and after them, formatted."""

    part: str
    score: str
    before: str
    after: str


@dataclass(frozen=True)
class EditHistory:
    """All edits since a model was trained.

    Attributes:
        model: name of the checkpoint that was edited.
        edits: in order.
        scores: before and after; empty if they were not measured.
        checkpoint: the edited model as on the command line; empty if it is not stored.
    """

    model: str
    edits: Sequence[EditRow]
    scores: Sequence[ChangeRow] = ()
    checkpoint: str = ""
