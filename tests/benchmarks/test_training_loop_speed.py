"""A training run as its config has it beside a plain loop of torch over the same network, batches, optimizer, schedule
and validation.

    pytest -m benchmark -s tests/benchmarks/test_training_loop_speed.py

They take turns by epochs, so that a machine that is slower for a second is slower for both. CPU seconds of one thread,
for zoo all that is not the plain loop, from the first phase to the last file. Both end with the same weights.
"""

import statistics
import time

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from torch.optim.lr_scheduler import CosineAnnealingLR

from zoo.phase import Phase
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


def plain_epochs(config, model, data):
    """Train in a plain loop; stops after each epoch."""
    phase = Phase(**config.phases["joint"])
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
        yield


class PlainEpochs(Callback):
    """Runs an epoch of the plain loop, with random numbers of its own, before each epoch of zoo; counts its seconds."""

    def __init__(self, epochs):
        self.epochs, self.seconds, self.random = epochs, 0.0, None

    def on_train_epoch_start(self, trainer, pl_module):
        start = time.process_time()
        random = torch.get_rng_state()
        torch.set_rng_state(random if self.random is None else self.random)  # seeded alike
        next(self.epochs)
        self.random = torch.get_rng_state()
        torch.set_rng_state(random)
        self.seconds += time.process_time() - start


def both(name, folder):
    """Return the seconds of zoo and of the plain loop."""
    config, model, data = prepared(name)
    _, other, other_data = prepared(name)
    plain = PlainEpochs(plain_epochs(config, other, other_data))
    start = time.process_time()
    run_phases(model, data, config, folder, progress=False, callbacks=[plain])
    seconds = time.process_time() - start - plain.seconds
    for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    return seconds, plain.seconds


@pytest.mark.benchmark
@pytest.mark.parametrize("name", CONFIGS)
def test_a_run_beside_a_plain_loop(name, tmp_path):
    quiet()
    ask_the_driver_once()
    runs = [both(name, tmp_path / str(i)) for i in range(ROUNDS)]
    ratios = sorted(zoo / plain for zoo, plain in runs)
    zoo, plain = (min(seconds) for seconds in zip(*runs, strict=True))
    ratio = statistics.median(ratios)
    print(f"\n{name}: zoo {zoo:.2f} s, plain loop {plain:.2f} s (fastest runs, {zoo / plain:.3f}x)")
    print(f"of {ROUNDS} runs: median {ratio:.3f}x, from {ratios[0]:.3f} to {ratios[-1]:.3f}")
    assert ratio < MOST
