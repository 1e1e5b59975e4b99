"""Concept alignment (CAS): do clusters of a concept's representation agree with its label?

Source: Espinosa Zarlenga et al., Concept Embedding Models, NeurIPS 2022 (concept alignment score). Clusters are those
of k-means, for a few numbers of clusters well below that of the samples.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from zoo.concept_schema import ConceptSchema
from zoo.metrics.base import count
from zoo.metrics.concept_purity._representation_score import RepresentationScore
from zoo.registry import register


@register
class ConceptAlignment(RepresentationScore):
    """Homogeneity of concept labels within clusters of the representation, mean over numbers of clusters.

    For each concept and each number of clusters, the homogeneity is 1 - H(label | cluster) / H(label). The numbers of
    clusters are spaced evenly in the logarithm from 2 to 4 times the square root of the number of samples (the
    published code goes on to as many clusters as samples, where it is 1 by construction).

    Further read-outs: ``chance``, the same with labels exchanged among samples; ``largest``, the largest number of
    clusters. Per unit: ``unit/alignment``.

    Args:
        concepts: the schema, m binary and categorical columns.
        steps: numbers of clusters.
        limit: largest number of samples used.

    Example:
        >>> from zoo.concept_schema import Concept
        >>> truth = (torch.arange(40)[:, None] % 2).double()
        >>> score = ConceptAlignment(ConceptSchema((Concept("a"),)))
        >>> score.update(truth[..., None], truth, torch.arange(40))
        >>> round(float(score.compute()["concept alignment"]), 6)
        1.0
    """

    title = "Concept alignment"
    meaning = "homogeneity of concept labels within clusters of the concept's representation"
    unit_readouts = {"alignment": "homogeneity of its clusters"}
    chance_readouts = ("chance",)
    protocol = "zoo-cas-v1"

    def __init__(self, concepts: ConceptSchema, *, steps: int = 6, limit: int = 1000) -> None:
        super().__init__(concepts, limit=limit)
        self.steps = count("steps", steps)
        self.protocol = self._variant(type(self).protocol, steps=steps, limit=limit)

    def compute(self) -> dict[str, Tensor]:
        """The score and its read-outs; see the class."""
        data = self.collected()
        if data is None:
            return self.nothing("concept alignment") | {
                "unit/alignment": torch.full((len(self.schema),), torch.nan, dtype=torch.float64)
            }
        from sklearn.cluster import KMeans

        n, m, _ = data.vectors.shape
        shuffled = data.truth[np.random.default_rng(1).permutation(n)]
        numbers = np.unique(np.geomspace(2, max(2, min(n - 1, 4 * n**0.5)), self.steps).round().astype(int))
        values = np.zeros((2, m, len(numbers)))
        for j in range(m):
            vectors = data.vectors[:, j].numpy()
            for at, clusters in enumerate(numbers):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # fewer distinct points than clusters
                    codes = KMeans(int(clusters), n_init="auto", random_state=0).fit_predict(vectors)
                values[0, j, at] = homogeneity(codes, data.truth[:, j])
                values[1, j, at] = homogeneity(codes, shuffled[:, j])
        alignment = torch.full((len(self.schema),), torch.nan, dtype=torch.float64)
        alignment[self.columns] = torch.from_numpy(values[0].mean(1))
        return {
            "concept alignment": torch.tensor(float(values[0].mean()), dtype=torch.float64),
            "chance": torch.tensor(float(values[1].mean()), dtype=torch.float64),
            "largest": torch.tensor(float(numbers[-1]), dtype=torch.float64),
            "support": self.samples,
            "unit/alignment": alignment,
        }


def homogeneity(codes: np.ndarray, labels: np.ndarray) -> float:
    """Return 1 - H(label | cluster) / H(label), 1 where all labels are equal.

    Args:
        codes: ``(n,)`` cluster of each sample.
        labels: ``(n,)`` 0 or 1.

    Example:
        >>> homogeneity(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
        0.0
    """
    from sklearn.metrics import homogeneity_score

    return max(0.0, float(homogeneity_score(labels, codes)))
