"""Concept accuracy: are the predicted concepts correct, compared with the majority value?

Source: Koh et al., Concept Bottleneck Models, ICML 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from zoo.concept_schema import ConceptSchema
from zoo.metrics.base import ANY_TASK, Record, Score
from zoo.metrics.concepts._concept_values import check_concepts
from zoo.metrics.concepts._probability_quality import probability_quality
from zoo.registry import register

NAMED = 3  # concepts named in a remark, at most


@register
class ConceptAccuracy(Score):
    """Share of known concept values predicted correctly, mean over concepts (Koh et al., 2020).

    A binary concept is predicted true from probability 0.5. A categorical group is one concept, predicted as its most
    likely value. Continuous concepts are left out.

    Further read-outs: ``exact_match`` share of samples with all known concepts correct; ``majority`` the accuracy
    of the more frequent value of each concept among these samples; ``worst`` the least accurate concept.
    Over the binary columns and the values of groups that are true of some samples and false of others (``one-sided``
    counts the rest): ``auroc`` of the probabilities, not of decisions, and ``f1``, both macro averages; ``brier``, and
    ``ece``, the calibration error in 15 bins. All from the whole split, not from batches.
    Per unit: ``unit/accuracy``, NaN for continuous concepts, that of its group for each value.

    Args:
        concepts: the schema.

    Example:
        >>> from zoo.concept_schema import Concept
        >>> score = ConceptAccuracy(ConceptSchema((Concept("wing"), Concept("tail"))))
        >>> score.update(torch.tensor([[0.9, 0.2], [0.6, 0.7]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        >>> float(score.compute()["concept_accuracy"])  # 1 of 2 and 2 of 2
        0.75
    """

    title = "Concept accuracy"
    meaning = "share of known concept values predicted correctly, mean over concepts"
    unit_readouts = {"accuracy": "predicted correctly"}
    unit_pass_rate = "accuracy"
    details = True
    requires = frozenset({"units", "concepts"})
    tasks = ANY_TASK
    inputs = {"predicted": "share", "truth": "share or nan"}  # continuous concepts: finite, or NaN
    protocol = "zoo-concepts-v1"
    intervals = {
        "concept_accuracy": ("", 0, 1),
        "exact_match": ("", 0, 1),
    }
    population = "inputs like these, and these concepts"
    right: Tensor
    known: Tensor
    true: Tensor
    exact: Tensor
    share: list[Tensor]
    decided: list[Tensor]
    target: list[Tensor]

    def __init__(self, concepts: ConceptSchema) -> None:
        super().__init__()
        self.schema = concepts
        self.group = concepts.group_ids
        self.binary = concepts.columns("binary")
        self.value = concepts.columns("categorical")
        self._lowest: tuple[str, list[str]] = ("", [])
        # one slot for each binary column, one for each categorical group: its first column
        first = torch.tensor([concepts.groups.index(g) for g in concepts.groups])
        self.slot = torch.where(self.value, first, torch.arange(len(concepts)))
        self.counted = (self.binary | self.value) & (self.slot == torch.arange(len(concepts)))
        self._sum("right", len(concepts))
        self._sum("known", len(concepts))
        self._sum("true", len(concepts))
        self._sum("exact")
        self._rows("share")
        self._rows("decided")
        self._rows("target")

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        """Add a batch.

        Args:
            predicted: ``(b, m)`` probability of each concept; continuous ones are not read.
            truth: ``(b, m)`` true concepts, NaN where unknown.

        Raises:
            ValueError: if a shape does not fit.
        """
        check_concepts(self._name, self.schema, predicted, truth)
        predicted, truth = (t.detach().to(self.device).double() for t in (predicted, truth))
        columns = (self.binary | self.value).to(self.device)
        self.share.append(predicted[:, columns])
        self.target.append(torch.where(truth.isnan(), -1, (truth > 0.5).long())[:, columns])
        decided = self.schema.decided(predicted) > 0.5
        self.decided.append(decided[:, columns])
        known = truth.isfinite()
        wrong = known & (decided != (truth > 0.5)) & (self.binary | self.value).to(self.device)
        slots = self.slot.to(self.device).expand(predicted.shape)
        wrong = torch.zeros_like(wrong, dtype=torch.int64).scatter_reduce(1, slots, wrong.long(), "amax").bool()
        counted = known & self.counted.to(self.device)
        self._add("right", counted & ~wrong)
        self._add("known", counted)
        self._add("true", known & (truth > 0.5))
        self._add("exact", ~(counted & wrong).any(1))
        self._add("samples", torch.ones(len(predicted), dtype=torch.int64, device=self.device))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        assert record.predicted is not None
        assert record.batch.concepts is not None
        self.update(record.predicted, record.batch.concepts)

    def compute(self) -> dict[str, Tensor]:
        """The accuracy and its read-outs; see the class."""
        each = self.right / self.known.double()
        per_group = torch.full_like(each, -1.0).scatter_reduce(
            0, self.group.to(self.device), self.true.double(), "amax"
        )
        majority = torch.maximum(self.true, self.known - self.true).double()
        majority = torch.where(self.value.to(self.device), per_group[self.group.to(self.device)], majority) / self.known
        annotated = self.counted.to(self.device) & (self.known > 0)
        slot = each[self.slot.to(self.device)]
        quality: dict[str, Tensor] = {}
        if len(self.share):
            quality = probability_quality(*map(dim_zero_cat, (self.share, self.decided, self.target)))
        self._lowest = self._least_accurate(each, majority, annotated)
        return {
            "concept_accuracy": each[annotated].mean(),
            "exact_match": self.exact / self.samples.double(),
            "majority": majority[annotated].mean(),
            "worst": each[annotated].min() if bool(annotated.any()) else each.new_tensor(torch.nan),
            **quality,
            "support": self.samples,
            "unit/accuracy": torch.where((self.binary | self.value).to(self.device), slot, torch.nan),
        }

    def interval_readouts(self) -> dict[str, Tensor]:
        """The accuracy and the exact matches."""
        annotated = self.counted.to(self.device) & (self.known > 0)
        return {
            "concept_accuracy": (self.right / self.known.double())[annotated].mean(),
            "exact_match": self.exact / self.samples.double(),
        }

    def remark(self, value: float, more: dict[str, float]) -> str:
        """Return the least accurate concept and those that are no better than guessing; empty if all are right."""
        name, guessed = self._lowest
        if not more["worst"] < 1:
            return ""
        return f"least accurate: {name} ({more['worst']:.2f})" + (
            f"; no better than guessing: {', '.join(guessed)}" if guessed else ""
        )

    def _least_accurate(self, accuracy: Tensor, majority: Tensor, counted: Tensor) -> tuple[str, list[str]]:
        """Return the name of the least accurate concept, and a few whose accuracy is at most the majority's."""
        ids = counted.nonzero()[:, 0].cpu()
        if not len(ids):
            return "", []
        names = [
            group if value else name
            for name, group, value in zip(self.schema.names, self.schema.groups, self.value.tolist(), strict=True)
        ]
        error = (majority * (1 - majority) / self.known.clamp_min(1)).sqrt()
        guessed = ids[(accuracy <= majority + 1.96 * error).cpu()[ids] & (majority < 1).cpu()[ids]]
        return names[int(ids[accuracy.cpu()[ids].argmin()])], [names[i] for i in guessed.tolist()[:NAMED]]
