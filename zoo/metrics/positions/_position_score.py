"""What the scores of positions share: they read whole sequences with position labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from torch import Tensor

from zoo.metrics.base import Record, Score
from zoo.metrics.positions._evaluator import PositionEvaluator

GROUPS = 8  # groups of properties, at most


class PositionScore(Score):
    """A score of units at positions with known properties; a suite calls ``evaluate_positions`` once per model.

    Attributes:
        groups: names of the groups of properties.
    """

    requires = frozenset({"units", "position_labels", "activity"})

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[str] = []

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add nothing: an explanation is of one position; ``evaluate_positions`` reads whole sequences."""

    @abstractmethod
    def measure(self, evaluator: PositionEvaluator) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """Yield arguments of ``update``, and the identity ``(b,)`` of each of their rows."""

    def evaluate_positions(self, evaluator: PositionEvaluator) -> None:
        """PositionLabels a model."""
        for rows, _ in self.measure(evaluator):
            self.update(*rows)
