"""Models of sequences: language models, programs, what can be continued."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol

from torch import Tensor

from zoo.capabilities.declared import Capability


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
