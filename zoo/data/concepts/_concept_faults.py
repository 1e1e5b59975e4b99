"""Faults of concept annotations, for experiments: labels that are missing, at random or by value, and wrong labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema
from zoo.data.split import Split

MissingPattern = Literal["random", "by_value"]
RARE = 3.0  # how many times as probable it is that a less frequent value is missing, for ``by_value``


@dataclass(frozen=True)
class ConceptFaults:
    """Shares of the annotations of a training split that are removed or replaced.

    One annotation is that of one concept of one sample: a categorical group counts as one concept. The random numbers
    depend on the seed alone, so a larger share contains the annotations of a smaller one, and missing ones do not
    change which others are wrong.

    Attributes:
        missing: share of the annotations that become unknown.
        pattern: ``random``, or ``by_value`` (not at random): the less frequent values of a concept are missing three
            times as often as the most frequent one; of a continuous concept, those above its median.
        wrong: share of the annotations that are replaced by another value: the opposite, or one of the other values of
            the group, all equally probable.

    Raises:
        ValueError: if a share is negative or not below 1, or the pattern is unknown.

    Example:
        >>> from zoo.concept_schema import Concept
        >>> schema, x = ConceptSchema((Concept("round"),)), torch.zeros(4)
        >>> split = Split(list("abcd"), x.long(), concepts=torch.tensor([[0.0], [1.0], [0.0], [1.0]]))
        >>> ConceptFaults(missing=0.5).apply(split, schema, seed=0).concepts.tolist()
        [[0.0], [1.0], [0.0], [1.0]]
    """

    missing: float = 0.0
    pattern: MissingPattern = "random"
    wrong: float = 0.0

    def __post_init__(self) -> None:
        for name, share in (("missing_concepts", self.missing), ("wrong_concepts", self.wrong)):
            if not 0 <= share < 1:
                raise ValueError(f"data.{name} is {share}; expected a share, at least 0 and below 1")
        if self.pattern not in get_args(MissingPattern):
            expected = ", ".join(get_args(MissingPattern))
            raise ValueError(f"data.missing_pattern is {self.pattern!r}; expected one of {expected}")

    def __bool__(self) -> bool:
        return self.missing > 0 or self.wrong > 0

    def apply(self, split: Split, schema: ConceptSchema | None, seed: int) -> Split:
        """Return a split with these faults in its concepts; everything else is unchanged.

        Raises:
            ValueError: if there are no concepts, or wrong labels are asked for of a continuous concept.
        """
        if schema is None or split.concepts is None:
            name = "missing_concepts" if self.missing else "wrong_concepts"
            raise ValueError(f"data.{name} is set and the data have no concepts; leave it out")
        continuous = [concept.name for concept in schema.concepts if concept.kind == "continuous"]
        if self.wrong and continuous:
            raise ValueError(
                f"data.wrong_concepts is {self.wrong} and concept {continuous[0]!r} is continuous; expected binary or"
                " categorical concepts"
            )
        concepts = split.concepts.clone()
        lost, replaced, shift = np.random.default_rng([seed, 1]).random((3, len(split), len(schema)))
        for columns in _concepts_of(schema):
            first = columns[0]  # its random numbers are those of the concept
            labels, kind = concepts[:, columns], schema.concepts[first].kind
            gone = torch.from_numpy(lost[:, first] < self._probability(labels, kind)) if self.missing else None
            if self.wrong:
                chosen = torch.from_numpy(replaced[:, first] < self.wrong)
                labels = torch.where(chosen[:, None], _other_value(labels, torch.from_numpy(shift[:, first])), labels)
            if gone is not None:
                labels = labels.masked_fill(gone[:, None], torch.nan)
            concepts[:, columns] = labels
        return replace(split, concepts=concepts)

    def _probability(self, labels: Tensor, kind: str) -> np.ndarray:
        """Probability ``(n,)`` that the annotation ``(n, v)`` of a concept is missing; its mean is the share."""
        known = labels[:, 0].isfinite()
        if self.pattern == "random" or not known.any():
            return np.full(len(labels), self.missing)
        if kind == "continuous":
            rare = labels[:, 0] > labels[known, 0].median()
        elif kind == "categorical":
            rare = labels[:, int(labels[known].sum(0).argmax())] != 1
        else:
            rare = labels[:, 0] != float(labels[known, 0].mean() > 0.5)
        q = float(rare[known].double().mean())
        common = self.missing / (1 - q + RARE * q)
        if RARE * common <= 1:
            return np.where(rare, RARE * common, common)
        return np.where(rare, 1.0, (self.missing - q) / (1 - q))


def _concepts_of(schema: ConceptSchema) -> list[list[int]]:
    """Columns of each concept: those of a categorical group together, every other one alone."""
    columns: dict[str, list[int]] = {}
    for i, concept in enumerate(schema.concepts):
        key = f"group {concept.group}" if concept.kind == "categorical" else f"column {i}"
        columns.setdefault(key, []).append(i)
    return list(columns.values())


def _other_value(labels: Tensor, shift: Tensor) -> Tensor:
    """Replace each label ``(n, v)`` by another value of its concept; ``shift`` ``(n,)`` in [0, 1) chooses which."""
    v = labels.shape[1]
    if v == 1:
        return 1 - labels
    steps = 1 + (shift * (v - 1)).long()  # 1 to v - 1 places further
    places = (torch.arange(v) - steps[:, None]) % v
    return labels.gather(1, places)
