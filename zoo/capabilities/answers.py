"""How an answer follows from the units, and what a page can compute again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from torch import Tensor

from zoo.batch import Batch
from zoo.capabilities.declared import Capability

if TYPE_CHECKING:
    from zoo.what_if import AffineHead, FeatureTables


class PathStep(NamedTuple):
    """One node on the path of an input through a decision tree.

    Attributes:
        unit: id of the node's prototype or question.
        name: of the node.
        strength: probability of going right, 0..1.
        right: whether the path goes right.
        answer: in words, where the node asks something else than whether a prototype is present.
    """

    unit: int
    name: str
    strength: float
    right: bool
    answer: str = ""


class DecisionPath(NamedTuple):
    """The path of one input through a decision tree, from the root to a leaf.

    Attributes:
        steps: the nodes that decide; nodes that pruning has removed are left out.
        leaf: name of the leaf.
        probabilities: ``(c,)`` the classes at the leaf.
        weight: probability of the path, the share of the leaf in the answer of the soft tree.
    """

    steps: list[PathStep]
    leaf: str
    probabilities: list[float]
    weight: float


class HasFeatures(Capability, Protocol):
    """Units that are computed from one feature vector per input."""

    capability: ClassVar[str] = "features"

    def features(self, x: Tensor) -> Tensor:
        """Return the features ``(b, d)`` of inputs ``(b, ...)``."""
        ...


class HasAffineHead(Capability, Protocol):
    """A head whose logits are an affine function of the strengths."""

    capability: ClassVar[str] = "affine_head"

    def affine_head(self, x: Tensor) -> AffineHead:
        """Return the head as numbers, for inputs ``(b, ...)``."""
        ...


class HasFeatureTables(Capability, Protocol):
    """A model of tables whose score is a sum of table look-ups."""

    capability: ClassVar[str] = "feature_tables"

    def feature_tables(self) -> FeatureTables:
        """Return columns, bins and tables as numbers."""
        ...


class HasTrace(Capability, Protocol):
    """A computation that can be written down step by step."""

    capability: ClassVar[str] = "trace"

    def trace(self, x: Tensor) -> list[list[tuple[str, list[str]]]]:
        """Return for each input the names of intermediate values and their values at each position."""
        ...


class HasClassSums(Capability, Protocol):
    """Contributions to every class at once."""

    capability: ClassVar[str] = "class_sums"

    def class_sums(self, x: Tensor) -> list[list[tuple[str, list[float]]]]:
        """Return for each input the active units with their c contributions; the last row is the sum."""
        ...


class HasDecisionPaths(Capability, Protocol):
    """A decision tree, in which each input has one path from the root to a leaf."""

    capability: ClassVar[str] = "decision_paths"

    def decision_paths(self, x: Tensor) -> list[DecisionPath]:
        """Return the path of each of the inputs ``(b, ...)`` that goes the more probable way at every node."""
        ...


class HasExtraMetrics(Capability, Protocol):
    """Metrics that only this family defines, printed beside the scores."""

    capability: ClassVar[str] = "extra_metrics"

    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return metrics by name, measured on the samples of ``loader``."""
        ...


class HasShapeFunctions(Capability, Protocol):
    """Units that are functions of one or two columns, tabulated over bins of their values."""

    capability: ClassVar[str] = "shape_functions"

    def shape_functions(self) -> list[Any]:
        """Return the terms (``zoo.layers.additive.Term``): bins, tables, counts of training rows and bands."""
        ...

    def bin_text(self, axis: Any, code: int) -> str:
        """Return a bin of a column in words."""
        ...

    def value_text(self, column: str, value: float) -> str:
        """Return a number of a column as people write it."""
        ...


class HasPointsCard(Capability, Protocol):
    """A model that is a card of integer points."""

    capability: ClassVar[str] = "points_card"

    def card(self) -> Sequence[tuple[str, str, int]]:
        """Return column, values in words and points of each line."""
        ...

    def risks(self) -> dict[int, float]:
        """Return the probability of the second class by total."""
        ...
