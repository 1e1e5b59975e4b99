"""Rows of the scores of positions, for the tests that run over all scores."""

import torch

from zoo.registry import SCORES as REGISTRY

SCORES = REGISTRY.all()

B, U = 24, 7


def _coverage():
    g = torch.Generator().manual_seed(0)
    judged = torch.rand(B, 10, generator=g)
    judged[::5] = torch.nan
    return {"chosen": torch.rand(B, 10, generator=g), "judged": judged, "member": torch.rand(B, 3, generator=g) > 0.3}


def _reconstruction():
    told = torch.randint(0, 9, (B, 2, 11, 2), generator=torch.Generator().manual_seed(1))
    return {"counts": torch.cat([told.amin(-1, keepdim=True), told], -1)}


def _detectors():
    found = torch.rand(B, 6, generator=torch.Generator().manual_seed(2))
    found[::7] = torch.nan
    return {"found": found}


ROWS = {
    "board_coverage": _coverage,
    "board_reconstruction": _reconstruction,
    "detectors": _detectors,
    "dead_units": lambda: {"fired": torch.rand(B, U, generator=torch.Generator().manual_seed(3)) < 0.1},
}
MAKE = {name: SCORES[name] for name in ("board_coverage", "board_reconstruction", "detectors")}
