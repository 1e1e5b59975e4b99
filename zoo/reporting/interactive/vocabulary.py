"""The units of a model with their per-unit scores, and what can be done with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoo.reporting.unit_picture import Source


@dataclass(frozen=True)
class VocabularyUnit:
    """One unit.

    Attributes:
        name: its name.
        owner: the class that it belongs to; empty if it belongs to none.
        values: of the per-unit scores, shares 0 to 1; None where a score cannot say.
        source: where it came from, or its template; None without a picture.
    """

    name: str
    owner: str
    values: Sequence[float | None]
    source: Source | None = None

    @property
    def mean(self) -> float | None:
        """The mean of the scores that can say; None if none can."""
        known = [value for value in self.values if value is not None]
        return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class Vocabulary:
    """Units of a model, lowest mean score first.

    Attributes:
        units: those that are listed.
        total: number of units of the model.
        scores: headings of their values.
        strike: operation by which a unit is struck out (``zoo edit``); empty if the model cannot be edited.
        model: name of the checkpoint.
        weights: SHA-256 of its tensors.
        command: that applies a file of edits.
    """

    units: Sequence[VocabularyUnit]
    total: int
    scores: Sequence[str]
    strike: str = ""
    model: str = ""
    weights: str = ""
    command: str = ""
