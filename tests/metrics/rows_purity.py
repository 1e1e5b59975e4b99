"""Rows of the scores of concept representations, for the tests that run over all scores."""

import torch

from zoo.concept_schema import Concept, ConceptSchema
from zoo.registry import SCORES as REGISTRY

SCORES = REGISTRY.all()

B, M, WIDTH = 24, 3, 2
CONCEPTS = ConceptSchema(tuple(Concept(f"c{i}") for i in range(M)))


def _vectors():
    g = torch.Generator().manual_seed(0)
    truth = (torch.arange(B)[:, None] // torch.tensor([1, 2, 4]) % 2).float()
    vectors = (truth[..., None] + 0.3 * torch.randn(B, M, WIDTH, generator=g)).half().float()
    truth[::12, 1] = torch.nan
    return {"representation": vectors, "truth": truth, "index": torch.arange(B)}


def _sparse():
    g = torch.Generator().manual_seed(1)
    y = torch.arange(B) % 3
    strength = (torch.nn.functional.one_hot(y, 5).float() + 0.5 * torch.randn(B, 5, generator=g)).half().float()
    features = torch.randn(B, 4, generator=g).half().float()
    return {"strength": strength, "y": y, "index": torch.arange(B), "features": features}


def _learned(score, rows):
    score.update(**rows, learn=True)
    score.update(**rows)


ROWS = dict.fromkeys(("oracle_impurity", "niche_impurity", "concept_alignment"), _vectors) | {
    "sparse_accuracy": _sparse
}
MAKE = {
    "oracle_impurity": lambda: SCORES["oracle_impurity"](CONCEPTS, splits=1, steps=3),
    "niche_impurity": lambda: SCORES["niche_impurity"](CONCEPTS, splits=1, steps=3),
    "concept_alignment": lambda: SCORES["concept_alignment"](CONCEPTS, steps=2),
    "sparse_accuracy": lambda: SCORES["sparse_accuracy"](nonzeros=[2]),
}
FEED = {"sparse_accuracy": _learned}
