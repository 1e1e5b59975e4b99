"""A training case that is shown beside an input."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        name: of the sample.
        distance: of its contributions from those of the input.
        truth: its true class or number; empty if unknown.
        words: its text or values, shortened; empty for a picture.
        picture: ``(3, s, s)`` in 0..1; None where inputs are no pictures.
    """

    name: str
    distance: float
    truth: str = ""
    words: str = ""
    picture: Tensor | None = None
