"""What the scores of positions of sequences share: they look at whole sequences of which something is known."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from torch import Tensor

from zoo.metrics.base import Score, Seen
from zoo.metrics.watch import Watch


class PositionScore(Score):
    """A score of units at positions of which something is known; a suite calls ``examine`` once for each model.

    Attributes:
        control: whether the same of a model with random weights belongs beside it.
        groups: names of the groups of properties that were asked about.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"units", "properties"})
    control: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[str] = []

    def feed(self, seen: Seen, changed: Seen | None = None, draw: int = 0) -> None:
        """Nothing: an explanation is of one position, and whole sequences are looked at in ``examine``."""

    @abstractmethod
    def asked(self, watch: Watch) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """What a model says: arguments of ``update``, and the identity ``(b,)`` of each of their rows."""

    def examine(self, watch: Watch) -> None:
        """Ask a model."""
        for rows, _ in self.asked(watch):
            self.update(*rows)
