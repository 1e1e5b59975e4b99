"""The concept schema: what each column of ``Batch.concepts`` means. It travels with the data and with a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from zoo.paths import did_you_mean

YES, NO = ("1", "1.0", "yes", "true"), ("0", "0.0", "no", "false")
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

    def decided(self, share: Tensor) -> Tensor:
        """Concepts ``(b, m)`` as decided from amounts between 0 and 1.

        A binary concept is 1 from 0.5, of a categorical group the strongest value is 1, a continuous one stays.
        """
        group, value = self.group_ids.to(share.device), self.columns("categorical").to(share.device)
        most = share.new_full((len(share), len(self.group_names)), -torch.inf)
        most = most.scatter_reduce(1, group.expand(share.shape), share, "amax")[:, group]
        said = torch.where(value, share == most, share >= 0.5).to(share)
        return torch.where(self.columns("continuous").to(share.device), share, said)

    def read(self, stated: Mapping[str, str]) -> Tensor:
        """Concepts as a person states them by name: ``has_hole=1``, ``wing=striped``, ``size=3.5``.

        Args:
            stated: a value for the name of a column, or a word for the name of a categorical group.

        Returns:
            ``(m,)`` NaN where nothing is stated.

        Raises:
            ValueError: if a name or a value is not known; the message has the nearest that is.
        """
        told = torch.full((len(self),), torch.nan)
        single = {c.name: i for i, c in enumerate(self.concepts) if c.kind != "categorical"}
        words: dict[str, dict[str, int]] = {}
        for i, c in enumerate(self.concepts):
            if c.kind == "categorical":
                words.setdefault(c.group, {})[c.name.removeprefix(f"{c.group}: ")] = i
        for name, text in stated.items():
            if name in single:
                told[single[name]] = _number(text, self.concepts[single[name]])
                continue
            known, what = list(words.get(name, [])), f"{name!r} has no value {text!r}"
            if name not in words:
                known, what, text = [*words, *single], f"there is no concept {name!r}", name
            if text not in words.get(name, {}):
                raise ValueError(f"{what}{did_you_mean(text, known)} (known: {', '.join(known)})")
            told[list(words[name].values())] = 0.0
            told[words[name][text]] = 1.0
        return told

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


def _number(text: str, concept: Concept) -> float:
    """What a word says of a concept."""
    if concept.kind == "continuous":
        try:
            return float(text)
        except ValueError as error:
            raise ValueError(f"{concept.name!r} is {text!r}; expected a number") from error
    if text.lower() in YES + NO:
        return float(text.lower() in YES)
    raise ValueError(f"{concept.name!r} is {text!r}; expected 1 or 0")
