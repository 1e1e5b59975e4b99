"""Base class of scores that read the representation of each concept: its strength, or its vector if it has one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from zoo.capabilities import HasConceptVectors, capability
from zoo.concept_schema import ConceptSchema
from zoo.metrics._value_checks import check_range
from zoo.metrics.base import ANY_TASK, Record, Score, count, expect

FEWEST = 20  # samples with all concepts known


@dataclass(frozen=True)
class Representations:
    """Samples with all concepts known, a random subset of a fixed seed in the order of their ids.

    Attributes:
        vectors: ``(n, m, w)`` float64, standardized.
        truth: ``(n, m)`` 0 or 1, of the binary and categorical columns.
    """

    vectors: Tensor
    truth: np.ndarray


class RepresentationScore(Score):
    """Keeps representations and annotations, and measures them together.

    Args:
        concepts: the schema; continuous columns are left out.
        limit: largest number of samples used.

    Attributes:
        columns: ``(m,)`` bool, the columns that are used.
    """

    requires = frozenset({"units", "concepts"})
    tasks = ANY_TASK
    inputs = {"representation": "finite", "truth": "share or nan", "index": "ids"}  # continuous: any
    no_interval = "it is measured by models fitted on these samples"
    representation: list[Tensor]
    truth: list[Tensor]
    index: list[Tensor]

    def __init__(self, concepts: ConceptSchema, *, limit: int = 1000) -> None:
        super().__init__()
        self.schema = concepts
        self.limit = count("limit", limit)
        self.columns = concepts.columns("binary") | concepts.columns("categorical")
        for name in ("representation", "truth", "index"):
            self._rows(name)

    def update(self, representation: Tensor, truth: Tensor, index: Tensor) -> None:
        """Add a batch.

        Args:
            representation: ``(b, m, w)`` of each concept.
            truth: ``(b, m)`` true concepts, NaN where unknown.
            index: ``(b,)`` int64 identity of each sample.

        Raises:
            ValueError: if a shape does not fit, a number is not finite or out of range, or an index occurs twice.
        """
        expect("representation", representation, None, len(self.schema), None)
        expect("truth", truth, len(representation), len(self.schema))
        expect("index", index, len(representation))
        self._check(representation=representation, index=index)
        check_range(self._field("truth"), truth[:, self.columns.to(truth.device)], 0, 1, unknown=True)
        self.representation.append(representation.detach().cpu().double())
        self.truth.append(truth.detach().cpu().double())
        self.index.append(index.detach().cpu())
        self._add("samples", torch.ones(len(index), dtype=torch.int64, device=self.device))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        assert record.batch.concepts is not None
        model = capability(record.model, HasConceptVectors)
        strength = record.explanation.strength[..., None]
        vectors = strength if model is None else model.concept_vectors(record.batch.x)
        self.update(vectors, record.batch.concepts, record.batch.index)

    def collected(self) -> Representations | None:
        """Return the samples; None, with the reason in ``why``, if too few have all concepts known."""
        self.why = ""
        if self.index:
            order = dim_zero_cat(self.index).argsort(stable=True)
            truth = dim_zero_cat(self.truth)[order][:, self.columns]
            known = truth.isfinite().all(1).nonzero()[:, 0]
            if len(known) >= FEWEST and truth.shape[1]:
                drawn = np.random.default_rng(0).permutation(len(known))[: self.limit]
                rows = known[torch.from_numpy(np.sort(drawn))]
                vectors = dim_zero_cat(self.representation)[order][rows][:, self.columns]
                spread = vectors.std(0, correction=0)
                vectors = (vectors - vectors.mean(0)) / torch.where(spread > 0, spread, 1.0)
                return Representations(vectors, (truth[rows] > 0.5).double().numpy())
        self.why = f"fewer than {FEWEST} samples have all concepts known"
        return None

    def nothing(self, name: str) -> dict[str, Tensor]:
        """Return the read-outs where nothing could be measured."""
        return {name: torch.tensor(torch.nan, dtype=torch.float64), "support": self.samples}


def train_and_test(n: int, split: int) -> tuple[Tensor, Tensor]:
    """Return the rows of a random 80 / 20 division of n samples.

    Example:
        >>> [len(rows) for rows in train_and_test(10, 0)]
        [8, 2]
    """
    order = torch.from_numpy(np.random.default_rng(split).permutation(n))
    number = round(0.8 * n)
    return order[:number], order[number:]
