"""CNNs with weights laid out channels last beside contiguous ones: a training step, a pass with its explanation.

pytest -m benchmark -s tests/benchmarks/test_channels_last_speed.py
"""

import time

import pytest
import torch

from zoo import create_model
from zoo.batch import Batch

ROUNDS = 12
CONCEPTS = {"columns": {"a": None, "b": None, "c": None}}
MODELS = {  # name, arguments, side of the images, images; the least gain of a step and of an explanation
    "protopnet 32": ("protopnet", {"backbone": "resnet10t", "backbone_level": 1, "dim": 64}, 32, 64, 1.05, 1.15),
    "cbm 64": ("cbm", {"backbone": "resnet10t", "concepts": CONCEPTS}, 64, 64, 0.9, 1.0),
    "protopnet 224": ("protopnet", {"backbone": "mobilenetv2_100", "dim": 128}, 224, 8, 1.0, 1.1),
}


@pytest.mark.benchmark
@pytest.mark.parametrize("case", MODELS)
def test_channels_last(case):
    name, args, side, images, step_gain, explain_gain = MODELS[case]
    models = {}
    for layout in ("channels last", "contiguous"):
        torch.manual_seed(0)
        models[layout] = create_model(name, num_classes=5, **args)
    models["contiguous"].to(memory_format=torch.contiguous_format)
    concepts = torch.randint(0, 2, (images, 3)).float()
    batch = Batch(torch.randn(images, 3, side, side), torch.arange(images) % 5, torch.arange(images), concepts=concepts)

    def step(model):
        model.train()
        sum(model.loss(batch, dict.fromkeys(model.terms, 1.0)).values()).backward()

    def explain(model):
        with torch.no_grad():
            model.eval().explain(batch.x)

    gains = {}
    for way in (step, explain):
        seconds = {layout: [] for layout in models}
        for _ in range(ROUNDS):
            for layout, model in models.items():
                start = time.perf_counter()
                way(model)
                seconds[layout].append(time.perf_counter() - start)
        gains[way.__name__] = min(seconds["contiguous"]) / min(seconds["channels last"])
    print(f"\n{case}: step {gains['step']:.2f}x, explanation {gains['explain']:.2f}x")
    assert gains["step"] >= step_gain
    assert gains["explain"] >= explain_gain
