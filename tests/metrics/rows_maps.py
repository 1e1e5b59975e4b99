"""One row for each sample of the arguments of the scores of input maps, for the tests that run over all scores."""

import torch

from zoo.metrics.attribution_maps import (
    Dissection,
    Infidelity,
    MapDeletion,
    MapSensitivity,
    Mprt,
    Road,
    SensitivityN,
)

B, SIDE, UNITS, PARTS = 24, 6, 7, 4
WEIGHT = torch.randn(3, 2 * SIDE * SIDE, dtype=torch.float64, generator=torch.Generator().manual_seed(4))


def forward(x):
    """Three logits, none of them linear in the image."""
    return (x.double().flatten(1).tanh()[:, None] * WEIGHT).sum(2)


def attribute(x, target):
    """Input times weight of the class."""
    return (x.double() * WEIGHT[target].unflatten(1, (2, SIDE, SIDE))).sum(1)


class Net(torch.nn.Module):
    """Two layers, for the score that randomises them."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Parameter(WEIGHT.new_tensor(WEIGHT[0].tolist()))
        self.second = torch.nn.Linear(2, 3, bias=False, dtype=torch.float64)
        self.second.weight.data = WEIGHT[:, :2].clone()


def relevance(net, x, target):
    """A map in which both layers have a say."""
    products = x.double().flatten(1) * net.first * net.second.weight[target].repeat_interleave(SIDE * SIDE, 1)
    return products.unflatten(1, (2, SIDE, SIDE)).sum(1)


def _maps(seed=0):
    g = torch.Generator().manual_seed(seed)
    mask = torch.rand(B, SIDE, SIDE, generator=g) > 0.7
    mask[::7] = False
    attribution = torch.randn(B, SIDE, SIDE, generator=g)
    attribution[5] = 0
    x = torch.randn(B, 2, SIDE, SIDE, dtype=torch.float64, generator=g)
    target = torch.randint(0, 3, (B,), generator=g)
    return {"attribution": attribution, "mask": mask, "x": x, "target": target, "ids": torch.arange(B) + 70}


def _some(*names):
    return lambda: {name: value for name, value in _maps().items() if name in names}


def _dissection():
    g = torch.Generator().manual_seed(1)
    maps, masks = torch.randn(B, UNITS, 3, 3, generator=g), torch.rand(B, PARTS, SIDE, SIDE, generator=g) > 0.8
    return {"maps": maps, "masks": masks}


ASKING = ("attribution", "x", "target", "ids")
ROWS = {
    "map_complexity": _some("attribution"),
    "map_localization": _some("attribution", "mask"),
    "map_sensitivity": _some("x", "target", "ids"),
    "map_deletion": _some(*ASKING),
    "road": _some(*ASKING),
    "infidelity": _some(*ASKING),
    "sensitivity_n": _some(*ASKING),
    "mprt": _some("x", "target"),
    "dissection": _dissection,
}
MAKE = {
    "map_sensitivity": lambda: MapSensitivity(draws=3),
    "map_deletion": lambda: MapDeletion(steps=4),
    "road": lambda: Road(percentages=(10, 40, 80)),
    "infidelity": lambda: Infidelity(draws=4),
    "sensitivity_n": lambda: SensitivityN(subsets=6, shares=(0.1, 0.4)),
    "mprt": lambda: Mprt(stages=2),
    "dissection": lambda: Dissection(UNITS, PARTS, quantile=0.1),
}
FEED = {
    "map_sensitivity": lambda score, rows: score.update(attribute, forward=forward, **rows),
    "mprt": lambda score, rows: score.update(relevance, Net(), **rows),
} | dict.fromkeys(
    ("map_deletion", "road", "infidelity", "sensitivity_n"), lambda score, rows: score.update(forward, **rows)
)
