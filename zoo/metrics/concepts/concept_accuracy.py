"""Concept accuracy: are the predicted concepts correct, compared with the majority value?"""

from __future__ import annotations

import torch
from scipy.stats import rankdata
from torch import Tensor
from torchmetrics.functional.classification import binary_calibration_error
from torchmetrics.utilities import dim_zero_cat

from zoo.concept_schema import ConceptSchema
from zoo.metrics.base import Record, Score, expect
from zoo.registry import register


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
    """

    title = "Concept accuracy"
    meaning = "share of known concept values predicted correctly, mean over concepts"
    unit_readouts = {"accuracy": "predicted correctly"}
    unit_pass_rate = "accuracy"
    details = True
    requires = frozenset({"units", "concepts"})
    protocol = "zoo-concepts-v1"
    right: Tensor
    known: Tensor
    true: Tensor
    exact: Tensor
    amount: list[Tensor]
    spoke: list[Tensor]
    target: list[Tensor]

    def __init__(self, concepts: ConceptSchema) -> None:
        super().__init__()
        self.schema, self.group = concepts, concepts.group_ids
        self.binary, self.value = concepts.columns("binary"), concepts.columns("categorical")
        # one slot for each binary column, one for each categorical group: its first column
        first = torch.tensor([concepts.groups.index(g) for g in concepts.groups])
        self.slot = torch.where(self.value, first, torch.arange(len(concepts)))
        self.counted = (self.binary | self.value) & (self.slot == torch.arange(len(concepts)))
        self._sum("right", len(concepts))
        self._sum("known", len(concepts))
        self._sum("true", len(concepts))
        self._sum("exact")
        self._rows("amount")
        self._rows("spoke")
        self._rows("target")

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        """Add a batch.

        Args:
            predicted: ``(b, m)`` probability of each concept; continuous ones are not read.
            truth: ``(b, m)`` true concepts, NaN where unknown.

        Raises:
            ValueError: if a shape does not fit.
        """
        m = len(self.schema)
        expect("predicted", predicted, None, m)
        expect("truth", truth, len(predicted), m)
        predicted, truth = (t.detach().to(self.device).double() for t in (predicted, truth))
        columns = (self.binary | self.value).to(self.device)
        self.amount.append(predicted[:, columns])
        self.target.append(torch.where(truth.isnan(), -1, (truth > 0.5).long())[:, columns])
        said = self.schema.decided(predicted) > 0.5
        self.spoke.append(said[:, columns])
        known = truth.isfinite()
        wrong = known & (said != (truth > 0.5)) & (self.binary | self.value).to(self.device)
        slots = self.slot.to(self.device).expand(predicted.shape)
        wrong = torch.zeros_like(wrong, dtype=torch.int64).scatter_reduce(1, slots, wrong.long(), "amax").bool()
        counted = known & self.counted.to(self.device)
        self.right = self.right + (counted & ~wrong).sum(0)
        self.known = self.known + counted.sum(0)
        self.true = self.true + (known & (truth > 0.5)).sum(0)
        self.exact = self.exact + (~(counted & wrong).any(1)).sum()
        self.samples = self.samples + len(predicted)

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
        most = torch.maximum(self.true, self.known - self.true).double()
        most = torch.where(self.value.to(self.device), per_group[self.group.to(self.device)], most) / self.known
        asked = self.counted.to(self.device) & (self.known > 0)
        slot = each[self.slot.to(self.device)]
        return {
            "concept_accuracy": each[asked].mean(),
            "exact_match": self.exact / self.samples.double(),
            "majority": most[asked].mean(),
            "worst": each[asked].min() if bool(asked.any()) else each.new_tensor(torch.nan),
            **self._quality(),
            "support": self.samples,
            "unit/accuracy": torch.where((self.binary | self.value).to(self.device), slot, torch.nan),
        }

    def _quality(self) -> dict[str, Tensor]:
        if not len(self.amount):
            return {}
        amount, spoke, target = map(dim_zero_cat, (self.amount, self.spoke, self.target))
        known, true = target >= 0, target == 1
        both = (true.any(0)) & ((target == 0).any(0))
        found = {"one-sided": (~both).sum().double()}
        if bool(both.any()):
            amount, spoke, target, known, true = (t[:, both] for t in (amount, spoke, target, known, true))
            rank = rankdata(torch.where(known, amount, torch.nan).cpu().numpy(), axis=0, nan_policy="omit")
            ones, zeros = true.sum(0).cpu(), (known & ~true).sum(0).cpu()
            area = (torch.from_numpy(rank).where(true.cpu(), 0.0).sum(0) - ones * (ones + 1) / 2) / (ones * zeros)
            hit = (spoke & true).sum(0).double()
            f1 = 2 * hit / ((spoke & known).sum(0) + true.sum(0))
            found |= {"auroc": area.mean(), "f1": f1.mean()}
            p, t = amount[known], true[known]
            found |= {"brier": (p - t.double()).square().mean(), "ece": binary_calibration_error(p, t, n_bins=15)}
        return found
