"""Niche impurity (NIS): can a concept be predicted from the representations that do not belong to it?

Source: Espinosa Zarlenga et al., Towards Robust Metrics for Concept Representation Evaluation, AAAI 2023. The published
code keeps the niche of a concept instead of removing it where representations are vectors; here it is removed.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema
from zoo.metrics.base import count
from zoo.metrics.concept_purity._representation_score import Representations, RepresentationScore, train_and_test
from zoo.metrics.concept_purity._small_networks import fit_networks
from zoo.metrics.concepts._information import aurocs
from zoo.registry import register

HIDDEN = (20, 20)
THRESHOLDS = np.linspace(0, 1, 21)


@register
class NicheImpurity(RepresentationScore):
    """Area under the AUROC of concepts whose niche is removed, over the thresholds of the niche; 0.5 is pure.

    The niche of concept j at threshold beta are the units whose representation has an absolute correlation above beta
    with the label of j (of a vector, the largest of its dimensions). One network with two hidden layers of 20 predicts
    all concepts from all representations; the inputs inside the niche are set to their mean, and the AUROC of concept j
    is measured on a held-out fifth, mean over concepts and splits. Concepts that depend on each other raise it too.

    Further read-outs: ``all``, the AUROC with all inputs; ``spread``, standard deviation over splits; ``curve/auroc``:
    ``(21,)`` mean AUROC by threshold, from 0 to 1.

    Args:
        concepts: the schema, m binary and categorical columns.
        splits: random divisions.
        steps: of the optimizer of the networks.
        limit: largest number of samples used.

    Example:
        >>> from zoo.concept_schema import Concept
        >>> truth = (torch.rand(400, 2, generator=torch.Generator().manual_seed(0)) < 0.5).double()
        >>> score = NicheImpurity(ConceptSchema((Concept("a"), Concept("b"))), splits=1)
        >>> score.update(truth[..., None], truth, torch.arange(400))
        >>> 0.4 < float(score.compute()["niche impurity"]) < 0.6
        True
    """

    title = "Niche impurity"
    meaning = "AUROC of a concept predicted without the units that belong to it, mean over thresholds; 0.5 is pure"
    axes = {"auroc": ("correlation above which a unit belongs to a concept", "AUROC without these units")}
    higher_is_better = False
    protocol = "zoo-nis-v1"

    def __init__(self, concepts: ConceptSchema, *, splits: int = 5, steps: int = 150, limit: int = 1000) -> None:
        super().__init__(concepts, limit=limit)
        self.splits = count("splits", splits)
        self.steps = count("steps", steps)
        self.protocol = self._variant(type(self).protocol, splits=splits, steps=steps, limit=limit)

    def compute(self) -> dict[str, Tensor]:
        """The score and its read-outs; see the class."""
        data = self.collected()
        if data is None:
            return self.nothing("niche impurity")
        curves, whole = zip(*(_split(data, split, self.steps) for split in range(self.splits)), strict=True)
        areas = np.trapezoid(np.stack(curves), THRESHOLDS, axis=1)
        number = lambda value: torch.tensor(float(value), dtype=torch.float64)  # noqa: E731
        return {
            "niche impurity": number(areas.mean()),
            "all": number(np.mean(whole)),
            "spread": number(areas.std()),
            "support": self.samples,
            "curve/auroc": torch.from_numpy(np.mean(curves, axis=0)),
        }


def _split(data: Representations, split: int, steps: int) -> tuple[np.ndarray, float]:
    """AUROC ``(21,)`` by threshold of one division, and that with all inputs."""
    n, m, width = data.vectors.shape
    labels = torch.from_numpy(data.truth)
    train, test = train_and_test(n, split)
    network = fit_networks(data.vectors[train].flatten(1), labels[train], HIDDEN, steps=steps, shared=True, seed=split)
    correlation = niche_correlation(data.vectors[train], labels[train])
    inputs, known = data.vectors[test], np.ones((len(test), m), bool)

    def auroc(removed: Tensor) -> float:
        """Mean AUROC with units ``(m, m)`` removed, a row for each concept."""
        kept = (~removed).double()[:, None, :, None].expand(m, 1, m, width)
        logits = network((inputs * kept).flatten(2))  # (m, b, m)
        own = logits.diagonal(dim1=0, dim2=2)
        return float(np.nanmean(aurocs(own.numpy(), labels[test].numpy(), known)))

    curve = np.array([auroc(correlation > threshold) for threshold in THRESHOLDS])
    return curve, auroc(torch.zeros(m, m, dtype=torch.bool))


def niche_correlation(vectors: Tensor, labels: Tensor) -> Tensor:
    """Return the largest absolute correlation ``(m, m)`` of each concept with the dimensions of each unit.

    Args:
        vectors: ``(n, u, w)`` representations.
        labels: ``(n, m)``.

    Returns:
        Row j has concept j, column i unit i.

    Example:
        >>> labels = torch.tensor([[0.0], [1.0], [0.0], [1.0]]).double()
        >>> niche_correlation(-2 * labels[..., None], labels).tolist()
        [[1.0]]
    """
    centered = [v - v.mean(0) for v in (labels, vectors.flatten(1))]
    norm = [v.norm(dim=0).clamp_min(1e-12) for v in centered]
    correlation = (centered[0] / norm[0]).T @ (centered[1] / norm[1])
    return correlation.abs().unflatten(1, vectors.shape[1:]).amax(2)
