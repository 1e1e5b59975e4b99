"""The concept schema: what each column of ``Batch.concepts`` means. It travels with the data and with a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

ConceptKind = Literal["binary", "categorical", "continuous"]


@dataclass(frozen=True)
class Concept:
    """One column of ``Batch.concepts``.

    A categorical concept of v values is v columns of one group, one-hot, named ``concept: value``.

    Attributes:
        name: such as ``has_hole`` or ``wing: striped``.
        kind: binary (0 or 1), categorical (one column for each value) or continuous (a number in the user's unit).
        group: concepts that are set together; empty for a group of its own.
        mean: of the training split, for continuous concepts.
        std: of the training split, for continuous concepts.
    """

    name: str
    kind: ConceptKind = "binary"
    group: str = ""
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(ConceptKind):
            raise ValueError(
                f"concept {self.name!r} is of kind {self.kind!r}; expected {', '.join(get_args(ConceptKind))}"
            )
        if not self.std > 0:
            raise ValueError(f"concept {self.name!r} has std {self.std}; expected a number above 0")
        if not self.group:
            object.__setattr__(self, "group", self.name)


@dataclass(frozen=True)
class ConceptSchema:
    """m concepts, in the order of the columns of ``Batch.concepts`` ``(b, m)``, where NaN is unknown.

    Attributes:
        concepts: the columns.
        provenance: who says so, such as ``by class, majority of annotators``.

    Raises:
        ValueError: if there is no concept, a name stands twice, or a categorical group mixes kinds or has one value.
    """

    concepts: tuple[Concept, ...]
    provenance: str = ""

    def __post_init__(self) -> None:
        if not self.concepts:
            raise ValueError("a concept schema needs at least one concept")
        seen: set[str] = set()
        for concept in self.concepts:
            if concept.name in seen:
                raise ValueError(f"concept {concept.name!r} stands twice; give each a name of its own")
            seen.add(concept.name)
        for group in self.group_names:
            kinds = {c.kind for c in self.concepts if c.group == group}
            size = sum(c.group == group for c in self.concepts)
            if "categorical" in kinds and (len(kinds) > 1 or size < 2):
                raise ValueError(f"concept group {group!r} is categorical; expected two values or more, no other kind")

    def __len__(self) -> int:
        return len(self.concepts)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each column."""
        return tuple(c.name for c in self.concepts)

    @property
    def groups(self) -> tuple[str, ...]:
        """Group of each column."""
        return tuple(c.group for c in self.concepts)

    @property
    def group_names(self) -> tuple[str, ...]:
        """Each group once, in order of first appearance."""
        return tuple(dict.fromkeys(self.groups))

    @property
    def group_ids(self) -> Tensor:
        """``(m,)`` int64 number of each column's group among ``group_names``."""
        place = {group: i for i, group in enumerate(self.group_names)}
        return torch.tensor([place[group] for group in self.groups])

    def columns(self, kind: ConceptKind) -> Tensor:
        """``(m,)`` bool, the columns of one kind."""
        return torch.tensor([c.kind == kind for c in self.concepts])

    def to_config(self) -> dict[str, Any]:
        """As plain values, for YAML."""
        rows = {}
        for c in self.concepts:
            rows[c.name] = {"kind": c.kind, "group": c.group}
            if c.kind == "continuous":
                rows[c.name] |= {"mean": c.mean, "std": c.std}
        return {"provenance": self.provenance, "columns": rows}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ConceptSchema:
        """From plain values.

        Raises:
            ValueError: if a key or a value is not understood; the concept is named.
        """
        if not isinstance(config.get("columns"), Mapping):
            raise ValueError("concepts need a mapping `columns`: {has_hole: {kind: binary}, ...}")
        found = []
        for name, row in config["columns"].items():
            try:
                found.append(Concept(str(name), **(row or {})))
            except TypeError as error:
                raise ValueError(f"concept {name!r} is {row}; expected kind, group, mean, std") from error
        return cls(tuple(found), str(config.get("provenance", "")))
