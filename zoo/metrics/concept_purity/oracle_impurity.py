"""Oracle impurity (OIS): does one concept's representation predict other concepts more than its label does?

Source: Espinosa Zarlenga et al., Towards Robust Metrics for Concept Representation Evaluation, AAAI 2023.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema
from zoo.metrics.base import count
from zoo.metrics.concept_purity._representation_score import RepresentationScore, train_and_test
from zoo.metrics.concept_purity._small_networks import fit_networks
from zoo.metrics.concepts._information import aurocs
from zoo.registry import register

HIDDEN = (32,)


@register
class OracleImpurity(RepresentationScore):
    """Distance of what representations tell of concepts from what labels tell, 0 for pure representations.

    M[i, j] is the AUROC with which a small network (one hidden layer of 32) predicts concept j from the representation
    of concept i, O[i, j] that from the label of i, each on a held-out fifth. The score is the Frobenius norm of M - O,
    divided by m / 2, so that it lies in [0, 1], mean over random splits.

    Further read-outs: ``own``, mean AUROC of each concept from its own representation; ``others``, mean excess of M
    over O for other concepts; ``spread``, standard deviation over splits.

    Args:
        concepts: the schema, m binary and categorical columns.
        splits: random divisions.
        steps: of the optimizer of the networks.
        limit: largest number of samples used.

    Example:
        >>> from zoo.concept_schema import Concept
        >>> truth = (torch.arange(80)[:, None] // torch.tensor([1, 2]) % 2).double()
        >>> score = OracleImpurity(ConceptSchema((Concept("a"), Concept("b"))), splits=1)
        >>> score.update(truth[..., None], truth, torch.arange(80))
        >>> float(score.compute()["oracle impurity"]) < 0.01
        True
    """

    title = "Oracle impurity"
    meaning = "what concept representations tell of other concepts beyond the labels; 0 is pure, 1 the most impure"
    higher_is_better = False
    protocol = "zoo-ois-v1"

    def __init__(self, concepts: ConceptSchema, *, splits: int = 5, steps: int = 150, limit: int = 1000) -> None:
        super().__init__(concepts, limit=limit)
        self.splits = count("splits", splits)
        self.steps = count("steps", steps)
        self.protocol = self._variant(type(self).protocol, splits=splits, steps=steps, limit=limit)

    def compute(self) -> dict[str, Tensor]:
        """The score and its read-outs; see the class."""
        data = self.collected()
        if data is None:
            return self.nothing("oracle impurity")
        n, m, _ = data.vectors.shape
        labels = torch.from_numpy(data.truth)
        values: list[float] = []
        own: list[float] = []
        others: list[float] = []
        for split in range(self.splits):
            train, test = train_and_test(n, split)
            from_vectors, from_labels = np.full((m, m), np.nan), np.full((m, m), np.nan)
            for i in range(m):
                network = fit_networks(data.vectors[train, i], labels[train], HIDDEN, steps=self.steps, seed=split)
                from_vectors[i] = _aurocs(network(data.vectors[test, i]), labels[test])
                from_labels[i] = _aurocs(_from_label(labels[train], labels[test], i), labels[test])
            defined = np.isfinite(from_vectors)
            difference = np.where(defined, from_vectors - from_labels, 0)
            values.append(float(np.linalg.norm(difference)) / (m / 2))
            own.append(float(np.nanmean(from_vectors.diagonal())))
            off = defined & ~np.eye(m, dtype=bool)
            others.append(float(difference[off].mean()) if off.any() else 0.0)
        number = lambda value: torch.tensor(float(value), dtype=torch.float64)  # noqa: E731
        return {
            "oracle impurity": number(np.mean(values)),
            "own": number(np.mean(own)),
            "others": number(np.mean(others)),
            "spread": number(np.std(values)),
            "support": self.samples,
        }


def _from_label(train: Tensor, test: Tensor, i: int) -> Tensor:
    """What the best function of the label of concept i predicts for each concept ``(b, m)``: its training rate."""
    true = train[:, i] == 1
    rate = [train[rows].mean(0) if bool(rows.any()) else train.mean(0) for rows in (~true, true)]
    return torch.stack(rate)[test[:, i].long()]


def _aurocs(value: Tensor, labels: Tensor) -> np.ndarray:
    return aurocs(value.numpy(), labels.numpy(), np.ones(labels.shape, bool))
