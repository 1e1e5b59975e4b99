"""Capabilities of models beyond the contract: declared by name in ``model.capabilities``, typed by Protocols.

A family lists what each instance offers, so scores, pages and recipes need neither ``hasattr`` nor a family's name::

    if (prototypes := capability(model, HasSources)) is not None:
        origin = prototypes.sources()
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeVar, cast

from torch import Tensor

from zoo.batch import Batch

if TYPE_CHECKING:
    from zoo.what_if import AffineHead, FeatureTables


@dataclass(frozen=True)
class Sources:
    """Training samples that units were taken from.

    Attributes:
        index: ``(u,)`` position in the training split, -1 for a unit that was not taken from a sample.
        content: ``(u,)`` ``zoo.batch.content_hash`` of that sample's input, to recognize other data.
    """

    index: Tensor
    content: Tensor


class SourceText(NamedTuple):
    """A training text that a unit was taken from, with what each of its tokens adds to the strength of the unit.

    Attributes:
        pieces: the texts of its t tokens; joined they are the text.
        evidence: ``(t,)``.
    """

    pieces: Sequence[str]
    evidence: Tensor


class Directions(NamedTuple):
    """Units as directions of a feature space.

    Attributes:
        rows: ``(u, d)`` float32, one direction per unit.
        space: hash of the network that spans the space; only directions of one space can be compared.
        signed: whether a direction and its negative are different units.
    """

    rows: Tensor
    space: str
    signed: bool = True


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


class UnitChoice(NamedTuple):
    """The values that one unit, or a group of units, can take in one input.

    Attributes:
        name: of the unit or group.
        now: its value, in words.
        options: strengths by unit for each other value, by its words.
        cost: size of each change, 0 to 1.
    """

    name: str
    now: str
    options: Mapping[str, Mapping[int, float]]
    cost: Sequence[float]


class Capability(Protocol):
    """A named ability; ``capability`` is its name in ``model.capabilities``."""

    capability: ClassVar[str]


class HasSources(Capability, Protocol):
    """Units that were taken from training samples, or are shown by the sample in which they are strongest."""

    capability: ClassVar[str] = "sources"

    def sources(self) -> Sources:
        """Return the training sample of each unit."""
        ...


class HasSourceTexts(Capability, Protocol):
    """Units that are texts, which can be shown beside an input."""

    capability: ClassVar[str] = "source_texts"

    def source_texts(self, x: Tensor, units: Tensor) -> list[list[SourceText]]:
        """Return for each of the inputs ``(b, ...)`` the texts of units ``(b, k)``; -1 is read as unit 0."""
        ...


class HasConcepts(Capability, Protocol):
    """Units that are the annotated concepts of the data."""

    capability: ClassVar[str] = "concepts"

    def encode_concepts(self, concepts: Tensor) -> Tensor:
        """Return the strengths ``(b, u)`` that stand for concept values ``(b, m)``; NaN stays NaN."""
        ...

    def decode_concepts(self, strengths: Tensor) -> Tensor:
        """Return the concepts ``(b, m)`` of strengths ``(b, u)``: probabilities, or numbers in their own unit."""
        ...


class HasConceptVectors(Capability, Protocol):
    """Concepts that are represented by vectors, of which their strength is only a part."""

    capability: ClassVar[str] = "concept_vectors"

    def concept_vectors(self, x: Tensor) -> Tensor:
        """Return the vectors ``(b, u, w)`` of the concepts of inputs ``(b, ...)`` that the head reads."""
        ...


class HasConceptUncertainty(Capability, Protocol):
    """Concepts whose prediction has a variance of its own, beside the probability."""

    capability: ClassVar[str] = "concept_uncertainty"

    def concept_uncertainty(self, x: Tensor) -> Tensor:
        """Return the variance ``(b, u)`` of what each concept of inputs ``(b, ...)`` is read from, not below 0."""
        ...


class HasFeatures(Capability, Protocol):
    """Units that are computed from one feature vector per input."""

    capability: ClassVar[str] = "features"

    def features(self, x: Tensor) -> Tensor:
        """Return the features ``(b, d)`` of inputs ``(b, ...)``."""
        ...


class HasUnitTemplates(Capability, Protocol):
    """Units that have a signed pattern over the input."""

    capability: ClassVar[str] = "unit_templates"

    def unit_templates(self, units: Tensor) -> Tensor:
        """Return the patterns ``(n, *input)`` of units ``(n,)``."""
        ...


class HasDirections(Capability, Protocol):
    """Units that are directions of a feature space."""

    capability: ClassVar[str] = "directions"

    def directions(self) -> Directions:
        """Return the directions of all units."""
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


class HasUnitValues(Capability, Protocol):
    """Units that read a value of the input which has a name."""

    capability: ClassVar[str] = "unit_values"

    def unit_values(self, x: Tensor) -> list[list[str]]:
        """Return for each of the inputs ``(b, ...)`` the value that each unit read, in words."""
        ...


class HasStrengthWords(Capability, Protocol):
    """Units whose strengths are said in words."""

    capability: ClassVar[str] = "strength_words"

    def strength_words(self, strengths: Tensor, *, share: bool = False) -> list[list[str]]:
        """Return strengths ``(b, u)`` in words, such as ``present``; as means over inputs where ``share`` is set."""
        ...


class HasSelection(Capability, Protocol):
    """A model that selects words of a text, and answers from these alone."""

    capability: ClassVar[str] = "selection"

    def control_logits(self, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Return logits ``(b, c)`` of heads that were fitted on other words than those selected.

        Args:
            x: ``(b, t)`` texts.
            noise: ``(b, t)`` random numbers, the largest of which choose the random words.

        Returns:
            ``left_out`` from the words left out, ``random`` from as many random words, ``whole`` from the whole text.
        """
        ...


class HasUnitChoices(Capability, Protocol):
    """Units that take one of several values, such as the variables of a program."""

    capability: ClassVar[str] = "unit_choices"

    def unit_choices(self, strength: Tensor) -> list[UnitChoice]:
        """Return what can be changed of an input with strengths ``(u,)``."""
        ...


class HasActivity(Capability, Protocol):
    """Units with an activation at every position of a sequence."""

    capability: ClassVar[str] = "activity"

    def activity(self, x: Tensor, units: Tensor | None = None) -> Tensor:
        """Return activations ``(b, t, n)`` of units ``(n,)`` (None: all u) for contexts ``(b, t)``."""
        ...

    def firing(self, top: Tensor) -> Tensor:
        """Return the activation above which a unit counts as active, from its largest activation ``(n,)``."""
        ...


class HasChosenCodes(Capability, Protocol):
    """Units that are on or off at each position, a fixed number of them on."""

    capability: ClassVar[str] = "chosen_codes"

    def chosen(self, x: Tensor) -> Tensor:
        """Return the distinct ids ``(b, t, n)`` of the units that are on at every position of contexts ``(b, t)``."""
        ...


class HasHiddenNeurons(Capability, Protocol):
    """A language model whose hidden neurons can be read beside its units."""

    capability: ClassVar[str] = "hidden_neurons"

    def hidden(self, x: Tensor) -> Tensor:
        """Return hidden activations ``(b, t, n)`` of all MLPs for contexts ``(b, t)``."""
        ...


class LanguageModel(Capability, Protocol):
    """A next-token model."""

    capability: ClassVar[str] = "language_model"

    def position_logits(self, x: Tensor) -> Tensor:
        """Return next-token logits ``(b, t, c)`` at every position of contexts ``(b, t)``."""
        ...

    def generate(self, x: Tensor, new: int, **options: Any) -> Tensor:
        """Return ``new`` further tokens ``(b, new)`` of contexts ``(b, t)``."""
        ...


class Steerable(Capability, Protocol):
    """A language model that generates text with units set to given strengths."""

    capability: ClassVar[str] = "steerable"

    def steer(self, x: Tensor, new: int, strengths: Mapping[int, float], **options: Any) -> Tensor:
        """Return ``new`` further tokens ``(b, new)`` with units set to ``strengths`` (strength by unit id)."""
        ...


class HasProgram(Capability, Protocol):
    """A model that is a program and can be written as a Python file."""

    capability: ClassVar[str] = "program"

    @property
    def program(self) -> Any:
        """The program (``zoo.programs.ir.program.Program``)."""
        ...

    def source(self, x: Tensor | None, *, name: str, about: Iterable[str] = (), by: str = "zoo") -> str:
        """Return the program as Python source, with its coverage of inputs ``(b, ...)`` if there are any."""
        ...


class Editable(Capability, Protocol):
    """A model that can be edited by operations on its units, see ``zoo.editing``."""

    capability: ClassVar[str] = "editable"

    def edit_operations(self) -> Mapping[str, Any]:
        """Return the operations (``zoo.editing.operation.Operation``) by name."""
        ...


P = TypeVar("P", bound=Capability)


def capability(model: object, protocol: type[P]) -> P | None:
    """Return ``model`` typed as ``protocol`` if it declares that capability, otherwise None.

    Args:
        model: any object; one without ``capabilities`` declares none.
        protocol: a Protocol of this module.

    Example:
        >>> import zoo
        >>> from zoo.capabilities import HasConcepts, HasSources, capability
        >>> model = zoo.create_model("blackbox", num_classes=2, backbone="mlp", input_shape=[4])
        >>> capability(model, HasSources) is None
        True
    """
    declared = getattr(model, "capabilities", frozenset())
    return cast(P, model) if protocol.capability in declared else None


class HasWindows(Capability, Protocol):
    """A data source whose samples are windows of a sequence of tokens (declared in ``data.capabilities``)."""

    capability: ClassVar[str] = "windows"

    def windows(self, name: Any) -> Tensor:
        """Return whole windows ``(n, context + 1)`` of a split, -1 behind the end of a sequence."""
        ...


class HasFixedShape(Capability, Protocol):
    """A data source whose input shape is known before any sample is read (declared in ``data.capabilities``)."""

    capability: ClassVar[str] = "fixed_shape"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        ...
