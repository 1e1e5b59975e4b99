"""Rows of the scores of faithfulness, size and quality, for the tests that run over all scores."""

import torch
from worlds import maps

from zoo.registry import SCORES as REGISTRY

SCORES = REGISTRY.all()

B, U, P = 24, 7, 4
HEAD = torch.randn(3, U, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
THRESHOLDS = (0.1, 0.3, 0.5)


def _whole(seed=0):
    """What every ablating score takes, and the strengths that its decide reads."""
    g = torch.Generator().manual_seed(seed)
    strength = torch.rand(B, U, generator=g).half().float()  # so that nothing changes when it is made half again
    target = (strength.double() @ HEAD.T).argmax(1)
    contribution = (strength * HEAD[target].float() * (torch.rand(B, U, generator=g) > 0.2)).half().float()
    y = torch.where(torch.rand(B, generator=g) > 0.3, target, (target + 1) % 3)
    return {"contribution": contribution, "target": target, "y": y, "index": torch.arange(B), "strength": strength}


def _purity():
    g = torch.Generator().manual_seed(1)
    return {
        "strength": torch.rand(B, U, generator=g).half().float(),
        "unit_ids": torch.arange(U).expand(B, U).clone(),
        "cells": torch.randint(0, 64, (B, U), generator=g),
        "points": torch.rand(B, P, 2, generator=g, dtype=torch.float64) * 32,
        "visible": torch.rand(B, P, generator=g) > 0.3,
        "index": torch.arange(B),
        "used": torch.rand(B, U, generator=g) > 0.3,
    }


def _misalignment():
    g = torch.Generator().manual_seed(2)
    before = torch.rand(B, U, generator=g)
    return {
        "before": before,
        "after": before * torch.rand(B, U, generator=g),
        "unit": torch.randint(0, U, (B,), generator=g),
        "competitors": torch.rand(B, U, generator=g) > 0.5,
        "maps_before": maps("", (B, 4, 4), 3),
        "maps_after": maps("", (B, 4, 4), 4),
        "right_before": torch.rand(B, generator=g) > 0.2,
        "right_after": torch.rand(B, generator=g) > 0.5,
    }


def _parts():
    g = torch.Generator().manual_seed(5)
    importance = torch.rand(B, P, generator=g)
    logit = torch.randn(B, generator=g)
    return {
        "important": importance[:, None] > 1.5 * torch.tensor(THRESHOLDS)[:, None],
        "answer": torch.randint(0, 3, (B,), generator=g),
        "kept": torch.randint(0, 3, (B, 3), generator=g),
        "cut": torch.randint(0, 3, (B, 3), generator=g),
        "importance": importance,
        "logit": logit,
        "without": logit[:, None] - 0.2 * torch.randn(B, P, generator=g),
        "contrast_logits": torch.randn(B, 3, 2, generator=g),
        "contrast_importance": torch.rand(B, 2, 2, generator=g),
        "random": torch.rand(B, 3, P, generator=g) > 0.5,
        "random_kept": torch.randint(0, 3, (B, 3), generator=g),
        "random_cut": torch.randint(0, 3, (B, 3), generator=g),
    }


def _duplicates():
    contribution = _whole()["contribution"].clone()
    contribution[:, 3] = contribution[:, 1]
    return {"contribution": contribution}


def _answers():
    rows = _whole()
    return {"contribution": rows["contribution"].round(), "answer": rows["target"]}


ABLATING = ("unit_correlation", "insertion_deletion", "sufficiency", "inherent_interpretability")


def _erasure():
    g = torch.Generator().manual_seed(6)
    return {
        "whole": torch.rand(B, generator=g),
        "changed": torch.rand(B, 5, generator=g),
        "random": torch.rand(B, 5, generator=g),
    }


def _complement():
    g = torch.Generator().manual_seed(7)
    logits = {name: torch.randn(B, 3, generator=g) for name in ("left_out", "random", "whole", "extract")}
    return logits | {"y": torch.randint(0, 3, (B,), generator=g)}


ROWS = dict.fromkeys(ABLATING, _whole) | {
    "redundancy": _duplicates,
    "answer_agreement": _answers,
    "word_comprehensiveness": _erasure,
    "word_sufficiency": _erasure,
    "complement_accuracy": _complement,
    "purity": _purity,
    "misalignment": _misalignment,
    "part_interventions": _parts,
}
MAKE = {name: lambda name=name: SCORES[name](U, ablation="zero") for name in ABLATING} | {
    "purity": lambda: SCORES["purity"](U, P, top=5),
    "part_interventions": lambda: SCORES["part_interventions"](P, thresholds=THRESHOLDS),
}


def _ablated(score, rows):
    rest = {key: value for key, value in rows.items() if key != "strength"}
    strength = rows["strength"].double()
    score.update(**rest, decide=lambda mask, value: torch.where(mask, value, strength).double() @ HEAD.T)


FEED = dict.fromkeys(ABLATING, _ablated) | {
    "purity": lambda score, rows: score.update(**rows, grid=(8, 8), size=(32, 32)),
    "misalignment": lambda score, rows: score.update(**rows, size=(32, 32)),
}
