"""A training step of the concept models beside the same network in plain torch, interleaved.

pytest -m benchmark -s tests/benchmarks/test_concepts_speed.py
"""

import time
from statistics import median

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from zoo import create_model
from zoo.batch import Batch
from zoo.phase import Phase

CLASSES, M, GROUPS, WIDTH, SIDE, IMAGES, ROUNDS, RATE = 200, 112, 28, 16, 64, 16, 25, 0.25
SCHEMA = {"columns": {f"g{j // 4}: {j}": {"kind": "binary", "group": f"g{j // 4}"} for j in range(M)}}


class PlainCBM(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = timm.create_model("resnet18", num_classes=M)
        self.head = nn.Linear(M, CLASSES)

    def loss(self, x, y, c):
        logits = self.net(x)
        return F.cross_entropy(self.head(logits.sigmoid()), y) + 0.5 * F.binary_cross_entropy_with_logits(logits, c)


class PlainCEM(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = timm.create_model("resnet18", num_classes=M * 2 * WIDTH)
        self.scorer = nn.Linear(2 * WIDTH, 1)
        self.head = nn.Linear(M * WIDTH, CLASSES)

    def loss(self, x, y, c):
        z = F.leaky_relu(self.net(x)).view(-1, M, 2 * WIDTH)
        logits = self.scorer(z)[..., 0]
        given = (torch.rand(len(x), GROUPS) < RATE).repeat_interleave(M // GROUPS, 1)
        p = torch.where(given, c, logits.sigmoid())[..., None]
        e = p * z[..., :WIDTH] + (1 - p) * z[..., WIDTH:]
        task = F.cross_entropy(self.head(e.flatten(1)), y)
        return task + 0.5 * F.binary_cross_entropy_with_logits(logits, c)


def build(name):
    """The zoo's model with its optimiser, and the same network in plain torch with the same weights."""
    common = {"num_classes": CLASSES, "backbone": "resnet18", "concepts": SCHEMA}
    if name == "cbm":
        model, plain, layer = create_model("cbm", mode="joint", **common), PlainCBM(), "concepts"
    else:
        model, plain, layer = create_model("cem", width=WIDTH, randint=RATE, **common), PlainCEM(), "embeddings"
        plain.scorer.load_state_dict(model.embeddings.scorer.state_dict())
    own = model.backbone.net.state_dict()
    linear = model.concepts if name == "cbm" else model.embeddings.context
    plain.net.load_state_dict(own | {"fc.weight": linear.weight.detach(), "fc.bias": linear.bias.detach()})
    plain.head.load_state_dict(model.head.state_dict())
    model.configure_phase(Phase(epochs=1, lr={"backbone": 1e-4, layer: 1e-4, "head": 1e-4}, loss={"concept": 0.5}))
    return model.train(), model.configure_optimizers(), plain.train(), torch.optim.Adam(plain.parameters(), 1e-4)


@pytest.mark.benchmark
@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@pytest.mark.parametrize("name", ["cbm", "cem"])
def test_a_training_step_beside_plain_torch(name):
    torch.manual_seed(0)
    model, ours, plain, theirs = build(name)
    x, y, c = torch.randn(IMAGES, 3, SIDE, SIDE), torch.arange(IMAGES), (torch.rand(IMAGES, M) < 0.3).float()
    batch = Batch(x, y, torch.arange(IMAGES), concepts=c)
    ways = {"zoo": (lambda: model.training_step(batch, 0), ours), "plain torch": (lambda: plain.loss(x, y, c), theirs)}
    took, losses = {way: [] for way in ways}, {way: [] for way in ways}
    for round_ in range(ROUNDS):
        for way, (loss, optimizer) in ways.items():
            torch.manual_seed(round_)
            start = time.perf_counter()
            value = loss()
            value.backward()
            optimizer.step()
            optimizer.zero_grad()
            took[way].append(time.perf_counter() - start)
            losses[way].append(value.item())
    assert losses["zoo"][:3] == pytest.approx(losses["plain torch"][:3], rel=1e-3)  # the same network, step by step
    fast, slow = (median(t[2:]) for t in took.values())
    print(f"\na step of {IMAGES} images at {SIDE}: {name} {fast:.4f} s, plain torch {slow:.4f} s: {fast / slow:.3f} x")
    assert fast <= 1.5 * slow
