"""What the scores of positions of sequences share: they look at whole sequences of which something is known."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from torch import Tensor

from zoo.metrics.base import Record, Score
from zoo.metrics.positions._evaluator import Watch


class PositionScore(Score):
    """A score of units at positions with known properties; a suite calls ``evaluate_positions`` once per model.

    Attributes:
        control: whether the same of a model with random weights belongs beside it.
        groups: names of the groups of properties that were asked about.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"units", "properties"})
    control: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[str] = []

    def update_from(self, seen: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Nothing: an explanation is of one position, and whole sequences are looked at in ``evaluate_positions``."""

    @abstractmethod
    def asked(self, watch: Watch) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """What a model says: arguments of ``update``, and the identity ``(b,)`` of each of their rows."""

    def evaluate_positions(self, watch: Watch) -> None:
        """Ask a model."""
        for rows, _ in self.asked(watch):
            self.update(*rows)
