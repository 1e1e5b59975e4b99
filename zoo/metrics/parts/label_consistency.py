"""Label consistency: is a unit active on instances that share one label?

Source: defined here, after the part consistency of Huang et al., ICCV 2023.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema
from zoo.metrics.base import Record, count, expect
from zoo.metrics.parts._counts import Counts
from zoo.metrics.parts.consistency import Consistency
from zoo.registry import register


@register
class LabelConsistency(Consistency):
    """Share of units that are active on instances of one and the same label, in percent.

    ``Consistency`` without places: an instance (an image, a token, a board) has labels instead of parts, and a unit
    claims every label of the instances on which it is active. H counts claims on instances that bear the label, n (and
    F in F1, IoU and purity) those on which it is known, V the instances that bear it. Where a label is common, r is
    high by chance alone: read it beside its chance level ``base_rate``. A suite explains the true class; so a unit that
    adds to one class alone is active on that class alone, and has every label that follows from the class.

    Read-outs are those of ``Consistency``; ``aligned`` is there also where the units are the concepts of the data: the
    share of concepts, in percent, whose own label has r >= ``tau``.

    Args:
        num_units: u.
        concepts: schema of the labels; categorical ones are a label for each value, continuous ones are none.
        tau: rate from which a label counts, in 0..1.
        support: minimum number of instances behind a rate.
        gate: when a unit is active. ``present``: a concept whose probability is at least 0.5, or another unit that adds
            more than 0 to the logit explained. ``share``: a unit with at least a tenth of the absolute contribution.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        A unit that is active on three inputs, all round and two of them red.

        >>> from zoo.concept_schema import Concept
        >>> score = LabelConsistency(1, ConceptSchema((Concept("red"), Concept("round"))))
        >>> labels = torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
        >>> score.update(torch.tensor([[1], [1], [1], [0]]).bool(), labels)
        >>> result = score.compute()
        >>> float(result["consistency"]), int(result["unit/part"])
        (100.0, 1)
    """

    title = "Label consistency"
    meaning = "share of units that are active on inputs of one label"
    unit = "%"
    unit_readouts = {"rate": "active on one label"}
    requires = frozenset({"units", "labels"})
    inputs = {"active": "binary", "labels": "share or nan", "known": "binary"}
    known: Tensor
    concepts: Tensor

    def __init__(
        self,
        num_units: int,
        concepts: ConceptSchema,
        *,
        tau: float = 0.8,
        support: int = 1,
        gate: Literal["present", "share"] = "present",
    ) -> None:
        super().__init__(count("num_units", num_units), len(concepts), tau=tau, support=support)
        if gate not in ("present", "share"):
            raise ValueError(f"gate is {gate!r}; expected present or share")
        self.gate = gate
        self.protocol = self._variant("zoo-labels-v1", tau=self.tau, support=self.support)
        self.protocol += "" if gate == "present" else f"/{gate}"
        self.whether = torch.tensor([concept.kind != "continuous" for concept in concepts.concepts])
        self._sum("known", len(concepts))
        self._sum("concepts")

    def update(self, active: Tensor, labels: Tensor, known: Tensor | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Count a batch.

        Args:
            active: ``(b, u)`` bool, whether each unit is active on each instance.
            labels: ``(b, m)``, 1 or true where the instance bears the label; NaN for unknown.
            known: ``(b, m)`` bool, whether the label is known; None if wherever it is a number.

        Raises:
            ValueError: if a shape does not fit.
        """
        expect("active", active, None, self.num_units)
        expect("labels", labels, len(active), self.part_count)
        self._check(active=active, labels=labels, known=known)
        active, labels = active.to(self.device).bool(), labels.to(self.device)
        there = ~labels.isnan() if known is None else known.to(self.device).bool()
        expect("known", there, *labels.shape)
        true = there & (labels > 0.5)
        self._add("hit", active, by=true)
        self._add("shown", active, by=there)
        self._add("fired", active)
        self._add("present", true)
        self._add("known", there)
        self._add("samples", torch.ones(len(active), dtype=torch.int64, device=self.device))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Count the samples of a record."""
        self.update(self.active(record), self.labels(record))
        self.concepts = self.concepts + (0 if record.ends is None else len(record.batch))

    def labels(self, record: Record) -> Tensor:
        """``(b, m)`` labels of the instances, NaN for unknown."""
        concepts = record.batch.concepts
        assert concepts is not None
        return concepts.masked_fill(~self.whether.to(concepts.device), torch.nan)

    def active(self, record: Record) -> Tensor:
        """``(b, u)`` bool, whether each unit is active."""
        contribution = record.explanation.contribution
        if self.gate == "share":
            size = contribution.double().abs()
            return (size > 0) & (10 * size >= size.sum(1, keepdim=True))
        if record.predicted is None or record.predicted.shape != contribution.shape:
            return contribution > 0
        return (record.predicted >= 0.5) & self.whether.to(contribution.device)

    def counts(self) -> Counts:
        """What was counted."""
        return Counts(self.hit, self.shown, self.shown, self.present)

    def compute(self) -> dict[str, Tensor]:
        """The score and its read-outs; see the class."""
        own = int(self.concepts) > 0 and self.num_units == self.part_count
        self.aligned = torch.arange(self.num_units) if own else None
        return super().compute()
