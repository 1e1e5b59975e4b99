"""A training run as its config has it beside a plain loop of torch over the same network, batches, optimizer, schedule
and validation, taking turns.

    pytest -m benchmark -s tests/benchmarks/test_training_loop_speed.py

CPU seconds of one thread: both end with the same weights.
"""

import statistics
import time

import pytest
import pytorch_lightning as pl
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from zoo.phase import Phase
from zoo.runtime.denormals import denormals_as_zero
from zoo.training.lightning_messages import quiet
from zoo.training.phases import run_phases
from zoo.training.process_settings import ask_the_driver_once
from zoo.training.run import build, load_config

EPOCHS, ROUNDS, MOST = 100, 9, 1.2  # the epochs of both configs
CONFIGS = ["bilinear_mlp/digits", "blackbox/digits_mlp"]


def prepared(name):
    config = load_config(name, [f"phases.joint.epochs={EPOCHS}", "trainer.accelerator=cpu"])
    model, data = build(config)
    data.loader("train")  # reads the data
    return config, model, data


def by_zoo(name, folder):
    config, model, data = prepared(name)
    start = time.process_time()
    run_phases(model, data, config, folder, progress=False)
    return time.process_time() - start, model


@denormals_as_zero()
def by_hand(name):
    config, model, data = prepared(name)
    phase = Phase(**config.phases["joint"])
    start = time.process_time()
    pl.seed_everything(config.seed, verbose=False)
    model.configure_phase(phase)
    groups = [{"params": list(part.parameters()), "lr": phase.lr[n]} for n, part in model.trainable_parts().items()]
    optimizer = torch.optim.AdamW(groups, weight_decay=phase.weight_decay)
    loader, val = data.loader("train", augment=True, shuffle=True), data.loader("val")
    schedule = CosineAnnealingLR(optimizer, EPOCHS * len(loader))
    for epoch in range(EPOCHS):
        loader.batch_sampler.set_epoch(epoch)
        model.train()
        for batch in loader:
            optimizer.zero_grad()
            model.loss(batch, {"task": 1.0})["task"].backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            _ = sum(int((model(batch.x).argmax(1) == batch.y).sum()) for batch in val)
    return time.process_time() - start, model


@pytest.mark.benchmark
@pytest.mark.parametrize("name", CONFIGS)
def test_a_run_beside_a_plain_loop(name, tmp_path):
    quiet()
    ask_the_driver_once()
    seconds = {"zoo": [], "plain": []}
    for i in range(ROUNDS):
        one, model = by_zoo(name, tmp_path / str(i))
        two, other = by_hand(name)
        seconds["zoo"].append(one)
        seconds["plain"].append(two)
        for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True):
            assert torch.equal(a, b)
    ratios = [a / b for a, b in zip(seconds["zoo"], seconds["plain"], strict=True)]
    ratio, best = statistics.median(ratios), {name: min(values) for name, values in seconds.items()}
    print(f"\n{name}: zoo {best['zoo']:.2f} s, plain loop {best['plain']:.2f} s ({best['zoo'] / best['plain']:.3f}x)")
    print(f"of {ROUNDS} pairs: median {ratio:.3f}x, from {min(ratios):.3f} to {max(ratios):.3f}")
    assert ratio < MOST
