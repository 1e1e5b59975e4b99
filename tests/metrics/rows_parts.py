"""Rows of the part scores that the shared tests do not have, for the tests that run over all scores."""

import inspect

import torch

from zoo.concept_schema import Concept, ConceptSchema
from zoo.registry import SCORES as REGISTRY

SCORES = REGISTRY.all()

B, U, K, P = 24, 7, 3, 4
CONCEPTS = ConceptSchema(
    (*(Concept(f"c{i}") for i in range(4)), *(Concept(f"v{i}", "categorical", "v") for i in range(3)))
)


def _hits():
    g = torch.Generator().manual_seed(3)
    ids = torch.rand(B, U, generator=g).argsort(1)[:, :K]
    ids[::5, 2] = -1
    return g, {"unit_ids": ids, "gate": torch.rand(B, K, generator=g) > 0.2}


def _consistency():
    g, rows = _hits()
    return {"hits": torch.rand(B, K, P, generator=g) > 0.4, "visible": torch.rand(B, P, generator=g) > 0.3, **rows}


def _variety():
    rows = _consistency()
    g = torch.Generator().manual_seed(8)
    return rows | {"peaks": torch.randint(0, 90, (B, K, 2), generator=g)}


def _stability():
    g, rows = _hits()
    before, after = (torch.rand(B, K, P, generator=g) > 0.4 for _ in range(2))
    moved = torch.rand(B, K, generator=g).double()
    return {"before": before, "after": after, **rows, "gate_after": rows["gate"].flip(0), "moved": moved}


def _labels():
    g = torch.Generator().manual_seed(4)
    labels = (torch.rand(B, U, generator=g) > 0.5).float()
    labels[::7, 1] = torch.nan
    return {"active": torch.rand(B, U, generator=g) > 0.4, "labels": labels}


def _explanations():
    g = torch.Generator().manual_seed(5)
    before = (torch.randn(B, U, generator=g) * (torch.rand(B, U, generator=g) > 0.3)).bfloat16().float()
    after = (before + 0.5 * torch.randn(B, U, generator=g)).bfloat16().float()
    after[3], before[4:6], after[5] = 0, 0, 0
    moved = torch.rand(B, K, generator=g).double()
    return {"before": before, "after": after, "moved": moved, "gate": torch.rand(B, K, generator=g) > 0.3}


def _answers():
    g = torch.Generator().manual_seed(6)
    return {"logits": torch.randn(B, 5, generator=g), "y": torch.randint(0, 5, (B,), generator=g)}


def _contributions():
    g = torch.Generator().manual_seed(7)
    return {"contribution": torch.randn(B, U, generator=g) * (torch.rand(B, U, generator=g) > 0.3)}


ROWS = {"label_consistency": _labels, "explanation_stability": _explanations, "part_variety": _variety}
MAKE = {"part_variety": lambda: SCORES["part_variety"](U, P, owner=[0, 0, 1, 1, 1, 4, 4])}
WITH_INTERVALS = {
    "consistency": _consistency,
    "stability": _stability,
    "accuracy": _answers,
    "effective_units": _contributions,
    "label_consistency": _labels,
    "explanation_stability": _explanations,
}


def parts_make(name):
    """A fresh score of U units, P parts and CONCEPTS."""
    known = inspect.signature(SCORES[name]).parameters
    given = {"num_units": U, "part_count": P, "concepts": CONCEPTS}
    return SCORES[name](**{k: v for k, v in given.items() if k in known})
