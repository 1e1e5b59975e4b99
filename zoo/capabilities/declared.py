"""How a capability is declared and asked for."""

from __future__ import annotations

from typing import ClassVar, Protocol, TypeVar, cast


class Capability(Protocol):
    """A named ability; ``capability`` is its name in ``model.capabilities``."""

    capability: ClassVar[str]


P = TypeVar("P", bound=Capability)


def capability(model: object, protocol: type[P]) -> P | None:
    """Return ``model`` typed as ``protocol`` if it declares that capability, otherwise None.

    Args:
        model: any object; one without ``capabilities`` declares none.
        protocol: a Protocol of ``zoo.capabilities``.

    Example:
        >>> import zoo
        >>> from zoo.capabilities import HasConcepts, HasSources, capability
        >>> model = zoo.create_model("blackbox", num_classes=2, backbone="mlp", input_shape=[4])
        >>> capability(model, HasSources) is None
        True
    """
    declared = getattr(model, "capabilities", frozenset())
    return cast(P, model) if protocol.capability in declared else None
