"""Rows of the scores of positions, for the tests that run over all scores."""

import torch

from zoo.registry import SCORES as REGISTRY

SCORES = REGISTRY.all()

B, U = 24, 7


def _coverage():
    g = torch.Generator().manual_seed(0)
    judged = torch.rand(B, 10, generator=g)
    judged[::5] = torch.nan
    chosen, possible = torch.rand(B, 10, generator=g), torch.rand(B, 3, generator=g) > 0.1
    member = possible & (torch.rand(B, 3, generator=g) > 0.3)
    return {
        "chosen": chosen,
        "judged": judged,
        "member": member,
        "possible": possible,
        "often": torch.ones(B, dtype=torch.bool),
    }


def _reconstruction():
    counts = torch.randint(0, 9, (B, 2, 11, 2), generator=torch.Generator().manual_seed(1))
    return {"counts": torch.cat([counts.amin(-1, keepdim=True), counts], -1)}


def _detectors():
    values = torch.rand(B, 6, generator=torch.Generator().manual_seed(2))
    values[::7] = torch.nan
    return {"precisions": values}


ROWS = {
    "board_coverage": _coverage,
    "board_reconstruction": _reconstruction,
    "detectors": _detectors,
    "dead_units": lambda: {"fired": torch.rand(B, U, generator=torch.Generator().manual_seed(3)) < 0.1},
}
MAKE = {name: SCORES[name] for name in ("board_coverage", "board_reconstruction", "detectors")}
