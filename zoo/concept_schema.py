"""The concept schema: the meaning of each column of ``Batch.concepts``; part of data and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from zoo.paths import did_you_mean

YES = ("1", "1.0", "yes", "true")
NO = ("0", "0.0", "no", "false")
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

    Raises:
        ValueError: unknown kind, or a std that is not positive.
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
        provenance: source of the annotations, such as ``by class, majority of annotators``.

    Raises:
        ValueError: if there is no concept, a name is repeated, or a categorical group mixes kinds or has one value.

    Example:
        >>> schema = ConceptSchema((Concept("round"), Concept("size", "continuous", mean=2.0)))
        >>> schema.read({"round": "yes", "size": "3.5"}).tolist()
        [1.0, 3.5]
    """

    concepts: tuple[Concept, ...]
    provenance: str = ""

    def __post_init__(self) -> None:
        if not self.concepts:
            raise ValueError("a concept schema needs at least one concept")
        seen: set[str] = set()
        for concept in self.concepts:
            if concept.name in seen:
                raise ValueError(f"concept {concept.name!r} is repeated; expected distinct names")
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

    def decided(self, share: Tensor) -> Tensor:
        """Return decided concepts ``(b, m)`` from probabilities ``(b, m)``.

        A binary concept is 1 from 0.5, the largest value of a categorical group is 1 (of equal ones the first), a
        continuous one stays.

        Example:
            >>> schema = ConceptSchema(tuple(Concept(f"color: {c}", "categorical", "color") for c in "rgb"))
            >>> schema.decided(torch.tensor([[0.4, 0.4, 0.2]])).tolist()
            [[1.0, 0.0, 0.0]]
        """
        group = self.group_ids.to(share.device).expand(share.shape)
        categorical = self.columns("categorical").to(share.device)
        largest = share.new_full((len(share), len(self.group_names)), -torch.inf)
        largest = largest.scatter_reduce(1, group, share, "amax").gather(1, group)
        column = torch.arange(len(self), device=share.device).expand(share.shape)
        first = torch.full_like(largest, len(self), dtype=torch.int64)
        first = first.scatter_reduce(1, group, torch.where(share == largest, column, len(self)), "amin")
        decided = torch.where(categorical, column == first.gather(1, group), share >= 0.5).to(share)
        return torch.where(self.columns("continuous").to(share.device), share, decided)

    def refuse_continuous(self) -> None:
        """Check that all concepts are binary or categorical.

        Raises:
            ValueError: naming the first continuous concept.
        """
        continuous = [concept.name for concept in self.concepts if concept.kind == "continuous"]
        if continuous:
            raise ValueError(
                f"concept {continuous[0]!r} is continuous; expected binary or categorical: leave it out, or use cbm"
            )

    def read(self, stated: Mapping[str, str]) -> Tensor:
        """Convert concepts given by name: ``has_hole=1``, ``wing=striped``, ``size=3.5``.

        Args:
            stated: a value by name of a column, or by name of a categorical group.

        Returns:
            ``(m,)`` NaN where nothing is given.

        Raises:
            ValueError: if a name or a value is unknown; the message has the nearest known one.
        """
        row = torch.full((len(self),), torch.nan)
        single = {c.name: i for i, c in enumerate(self.concepts) if c.kind != "categorical"}
        words: dict[str, dict[str, int]] = {}
        for i, c in enumerate(self.concepts):
            if c.kind == "categorical":
                words.setdefault(c.group, {})[c.name.removeprefix(f"{c.group}: ")] = i
        for name, text in stated.items():
            if name in single:
                row[single[name]] = _number(text, self.concepts[single[name]])
                continue
            if name not in words:
                known = [*words, *single]
                near = did_you_mean(name, known)
                raise ValueError(f"there is no concept {name!r}{near} (known: {', '.join(known)})")
            if text not in words[name]:
                known = list(words[name])
                near = did_you_mean(text, known)
                raise ValueError(f"{name!r} has no value {text!r}{near} (known: {', '.join(known)})")
            row[list(words[name].values())] = 0.0
            row[words[name][text]] = 1.0
        return row

    def to_config(self) -> dict[str, Any]:
        """Return plain values, for YAML."""
        rows = {}
        for c in self.concepts:
            rows[c.name] = {"kind": c.kind, "group": c.group}
            if c.kind == "continuous":
                rows[c.name] |= {"mean": c.mean, "std": c.std}
        return {"provenance": self.provenance, "columns": rows}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ConceptSchema:
        """Build from plain values.

        Raises:
            ValueError: if a key or a value is invalid; the message names the concept.
        """
        if not isinstance(config.get("columns"), Mapping):
            raise ValueError("concepts need a mapping `columns`: {has_hole: {kind: binary}, ...}")
        concepts: list[Concept] = []
        for name, row in config["columns"].items():
            try:
                concepts.append(Concept(str(name), **(row or {})))
            except TypeError as error:
                raise ValueError(f"concept {name!r} is {row}; expected kind, group, mean, std") from error
        return cls(tuple(concepts), str(config.get("provenance", "")))


def _number(text: str, concept: Concept) -> float:
    """Convert the text of a concept's value to a number."""
    if concept.kind == "continuous":
        try:
            return float(text)
        except ValueError as error:
            raise ValueError(f"{concept.name!r} is {text!r}; expected a number") from error
    if text.lower() in YES + NO:
        return float(text.lower() in YES)
    raise ValueError(f"{concept.name!r} is {text!r}; expected 1 or 0")
