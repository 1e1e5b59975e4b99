"""Capabilities of data sources."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from torch import Tensor

from zoo.capabilities.declared import Capability


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
