"""What units are, where they come from, how they are active and edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor

from zoo.capabilities.declared import Capability


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


class Editable(Capability, Protocol):
    """A model that can be edited by operations on its units, see ``zoo.editing``."""

    capability: ClassVar[str] = "editable"

    def edit_operations(self) -> Mapping[str, Any]:
        """Return the operations (``zoo.editing.operation.Operation``) by name."""
        ...
