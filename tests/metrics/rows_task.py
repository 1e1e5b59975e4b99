"""Rows of the scores of answers, for the tests that run over all scores."""

import torch

from zoo.registry import SCORES as REGISTRY
from zoo.task import Classification, MultiLabel, Regression

SCORES = REGISTRY.all()
B, C = 24, 4


def _classes():
    g = torch.Generator().manual_seed(0)
    return {"logits": torch.randn(B, C, generator=g).half().float(), "y": torch.randint(0, C, (B,), generator=g)}


def _ranked():
    return _classes() | {"index": torch.arange(B)}


def _labels():
    g = torch.Generator().manual_seed(1)
    y = torch.randint(0, 2, (B, C), generator=g).float()
    y[3, 1] = torch.nan
    return {"logits": torch.randn(B, C, generator=g).half().float(), "y": y}


def _numbers():
    g = torch.Generator().manual_seed(2)
    return {"logits": torch.randn(B, 1, generator=g), "y": torch.randn(B, generator=g)}


OF_CLASSES = (
    *("balanced_accuracy", "brier", "calibration_error", "confusion_matrix", "log_loss", "macro_f1", "risk_coverage"),
)
OF_RANKS = ("auroc", "average_precision")
OF_NUMBERS = ("r2", "rmse", "mae")
ROWS = dict.fromkeys(OF_CLASSES, _classes) | dict.fromkeys(OF_RANKS, _ranked) | dict.fromkeys(OF_NUMBERS, _numbers)
ROWS["label_accuracy"] = _labels
MAKE = {name: lambda name=name: SCORES[name](Classification(C, counts=(5, 9, 2, 7))) for name in OF_CLASSES + OF_RANKS}
MAKE |= {name: lambda name=name: SCORES[name](Regression(mean=0.2)) for name in OF_NUMBERS}
MAKE["label_accuracy"] = lambda: SCORES["label_accuracy"](MultiLabel(C))
