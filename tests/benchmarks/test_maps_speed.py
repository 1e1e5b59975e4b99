"""Scores of input maps beside quantus: pytest -m benchmark -s tests/benchmarks/test_maps_speed.py.

quantus is in no extra: it asks for opencv-python, which installs over the files of our opencv-python-headless and needs
libraries of a display. In an environment of its own it runs with our pins:

    python -m venv side && side/bin/pip install -c constraints.txt --editable '.[dev]'
    side/bin/pip install -c constraints.txt pandas scikit-image cachetools
    side/bin/pip install --no-deps quantus==0.6.0
    side/bin/python -m pytest -m benchmark -s tests/benchmarks/test_maps_speed.py

Both sides have the same model and data and run in turn in one process; times are the best of a few rounds. Times of
quantus are those of a call by a user; what its formula takes by itself is printed below them. Where values differ, the
test says why. Not compared: its sensitivity-n takes the correlation over the images of a batch for each number of
pixels, the most relevant first, where the paper's is over random sets of pixels for each image.
"""

import os
import time
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import zoo
from zoo.metrics.attribution_maps import entropy, fill, gini, infidelity, mass, pointing, rank, road, robustness

quantus = pytest.importorskip("quantus", reason="quantus is not installed; the docstring of this file says how")
noisy_linear_imputation = quantus.functions.perturb_func.noisy_linear_imputation
pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("ignore")]
QUIET = {"disable_warnings": True, "display_progressbar": False}
SIDE, IMAGES = 28, 64


@pytest.fixture(autouse=True)
def _threads(_one_thread):
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    torch.set_num_threads(1)


def race(ours, theirs, rounds=3):
    """Best time of each in turn, and what each found."""
    best, outputs = [float("inf")] * 2, [None] * 2
    for _ in range(rounds):
        for side, work in enumerate((ours, theirs)):
            start = time.perf_counter()
            outputs[side] = work()
            best[side] = min(best[side], time.perf_counter() - start)
    return best, outputs


def say(name, best):
    """Print and return the ratio."""
    ratio = best[1] / best[0]
    print(f"\n{name:44} zoo {best[0]:8.4f} s, quantus {best[1]:8.4f} s: {ratio:6.1f} x", end="")
    return ratio


@pytest.fixture(scope="module")
def world():
    """A small network on the handwritten digits, one channel, and its gradients."""
    torch.manual_seed(0)
    data = zoo.create_data("digits", size=SIDE, batch_size=64)
    data.setup("fit")
    data.setup("test")
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )
    step = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(4):
        for batch in data.train_dataloader():
            step.zero_grad()
            nn.functional.cross_entropy(net(batch.x[:, :1]), batch.y).backward()
            step.step()
    batch = next(iter(data.test_dataloader()))
    x, y = batch.x[:IMAGES, :1].contiguous(), batch.y[:IMAGES]
    net.eval().requires_grad_(False)
    print(f"\naccuracy {float((net(x).argmax(1) == y).double().mean()):.2f} on {len(x)} digits", end="")
    return net, x, y, saliency(net, x, y)


def saliency(net, x, y):
    """Gradient of the logit, as a map ``(b, h, w)``."""
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(net(x).gather(1, y[:, None]).sum(), x)[0].sum(1)


def explain(model, inputs, targets, **_):
    """The same for quantus."""
    maps = saliency(model, torch.as_tensor(inputs, dtype=torch.float32), torch.as_tensor(targets))
    return maps[:, None].numpy()


def arrays(x, y, a):
    return {"x_batch": x.numpy().copy(), "y_batch": y.numpy().copy(), "a_batch": a[:, None].numpy().copy()}


def inner(score, **given):
    """The formula alone: what quantus computes once its checks and its normalisation are done."""
    return np.asarray(score.evaluate_batch(**{k: v.copy() for k, v in given.items()}), dtype=float)


def noise(side):
    g = torch.Generator().manual_seed(0)
    return torch.randn(512 if side == 28 else 32, side, side, generator=g)


SIDES = pytest.mark.parametrize("side", [28, 224])


@SIDES
@pytest.mark.parametrize("name", ["gini", "entropy"])
def test_complexity(name, side):
    a = noise(side)
    ours, kind = {"gini": (gini, quantus.Sparseness), "entropy": (entropy, quantus.Complexity)}[name]
    score = kind(abs=True, normalise=True, **QUIET)
    given = {"model": None, "x_batch": a[:, None].numpy(), "y_batch": np.zeros(len(a), dtype=int)}
    best, outputs = race(lambda: ours(a), lambda: score(**given, a_batch=a[:, None].numpy().copy()))
    # quantus adds 1e-7 to each value (Gini), 1e-12 inside the logarithm, after a division by the batch's maximum.
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-4)
    assert say(f"{name}, {len(a)} maps of {side} x {side}", best) >= 4
    flat = a[:, None].abs().numpy()
    best, _ = race(lambda: ours(a), lambda: inner(score, x_batch=flat, a_batch=flat))
    say("    its formula alone", best)


def test_other_maps_of_the_batch_move_the_score_of_quantus():
    a = noise(28)[:8]
    enlarged = torch.cat([a[:1], a[1:] * 1e6])
    x, y = a[:, None].numpy(), np.zeros(8, dtype=int)
    score = quantus.Sparseness(abs=True, normalise=True, **QUIET)
    quiet, other = (float(score(None, x, y, b[:, None].numpy().copy())[0]) for b in (a, enlarged))
    print(
        f"\nGini of one map: quantus {quiet:.4f}, beside louder maps {other:.4f}; zoo {float(gini(a)[0]):.4f}", end=""
    )
    assert abs(quiet - other) > 1e-3
    assert float(gini(a)[0]) == float(gini(enlarged)[0])


@SIDES
@pytest.mark.parametrize("name", ["mass", "rank", "pointing"])
def test_localisation(name, side):
    a, g = noise(side).abs(), torch.Generator().manual_seed(1)  # quantus sums evidence for and against: none against
    mask = torch.zeros(len(a), side, side, dtype=torch.bool)
    for i, corner in enumerate(torch.randint(0, side // 2, (len(a), 2), generator=g).tolist()):
        mask[i, corner[0] : corner[0] + side // 3, corner[1] : corner[1] + side // 2] = True
    given = {"model": None, "x_batch": a[:, None].numpy(), "y_batch": np.zeros(len(a), dtype=int)}
    given["s_batch"] = mask[:, None].numpy()
    ours, kind = {
        "mass": (mass, quantus.RelevanceMassAccuracy),
        "rank": (rank, quantus.RelevanceRankAccuracy),
        "pointing": (pointing, quantus.PointingGame),
    }[name]
    score = kind(abs=False, normalise=True, **QUIET)
    best, outputs = race(lambda: ours(a, mask), lambda: score(**given, a_batch=a[:, None].numpy().copy()))
    np.testing.assert_allclose(outputs[0], np.asarray(outputs[1], dtype=float), rtol=1e-4)
    assert say(f"{name}, {len(a)} maps of {side} x {side}", best) >= 4
    flat = {"a_batch": a[:, None].numpy(), "s_batch": given["s_batch"]}
    best, _ = race(lambda: ours(a, mask), lambda: inner(score, **flat))
    say("    its formula alone", best)


def blocks(side=4):
    """The changes of quantus: blocks of ``side`` pixels set to 0 one after the other, none of them restored."""

    def change(x, ids, draw):
        row, column = torch.arange(x.shape[-2]) // side, torch.arange(x.shape[-1]) // side
        number = row[:, None] * (x.shape[-1] // side) + column
        return torch.where(number <= draw, 0, x)

    return change


def test_infidelity(world):
    net, x, y, a = world
    score = quantus.Infidelity(perturb_baseline=0.0, **QUIET)  # n_perturb_samples = 10: ten times the same changes
    given, draws = arrays(x, y, a), (SIDE // 4) ** 2
    best, outputs = race(
        lambda: infidelity(net, x, a, y, change=blocks(), draws=draws)["infidelity"],
        lambda: score(net, **given, channel_first=True, softmax=False),
        2,
    )
    np.testing.assert_allclose(outputs[0], np.asarray(outputs[1]), rtol=1e-3, atol=1e-4)
    assert say(f"infidelity, the same {draws} changes", best) >= 10
    once = quantus.Infidelity(perturb_baseline=0.0, n_perturb_samples=1, **QUIET)
    best, _ = race(
        lambda: infidelity(net, x, a, y, change=blocks(), draws=draws),
        lambda: once(net, **given, channel_first=True, softmax=False),
        2,
    )
    say("    n_perturb_samples=1", best)


def test_road(world):
    net, x, y, a = world
    percentages = (10, 20, 30, 40, 50, 70, 90)
    score = quantus.ROAD(percentages=percentages, noise=0.0, **QUIET)
    given = arrays(x, y, a)
    # A user of quantus asks twice: for the most relevant pixels, and with the map negated for the least relevant ones.
    turned = given | {"a_batch": -given["a_batch"]}
    best, outputs = race(
        lambda: road(net, x, a, y, percentages=percentages, noise=0, chance=False),
        lambda: [score(net, **g, channel_first=True, softmax=False) for g in (given, turned)],
        2,
    )
    for name, result in zip(("morf", "lerf"), outputs[1], strict=True):
        mine, theirs = outputs[0][f"{name}_curve"].mean(0), np.array([result[p] for p in percentages])
        print(f"\n{name} accuracy: zoo {mine.numpy().round(3)}, quantus {theirs.round(3)}", end="")
        # An answer on the edge may fall either way, and pixels that tie may go in another order.
        np.testing.assert_allclose(mine, theirs, atol=2.5 / len(x))
    assert say(f"ROAD, {len(x)} images of {SIDE} x {SIDE}", best) >= 10


@pytest.mark.parametrize(("side", "images"), [(28, 64), (112, 4)])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_imputation(side, images, share):
    g = torch.Generator().manual_seed(0)
    x = torch.nn.functional.interpolate(torch.randn(images, 3, 8, 8, generator=g), side, mode="bicubic")
    missing = torch.rand(images, side, side, generator=g) < share
    pairs = [(i.numpy(), m.flatten().nonzero()[:, 0].numpy()) for i, m in zip(x, missing, strict=True)]
    best, outputs = race(
        lambda: fill(x, missing), lambda: np.stack([noisy_linear_imputation(i, at, noise=0.0) for i, at in pairs]), 2
    )
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-4)
    say(f"imputation, {images} RGB images of {side}, {share:.0%} gone", best)


def gaussian(x, ids, *, draw, radius):
    return x + radius * torch.randn(x.shape, generator=torch.Generator().manual_seed(draw))


class Drawn:
    """The same noise for quantus, one draw after the other."""

    def __init__(self, radius):
        self.radius, self.draw = radius, -1

    def __call__(self, arr, **_):
        self.draw += 1
        return gaussian(torch.from_numpy(arr), None, draw=self.draw, radius=self.radius).numpy()


def test_relative_stability(world):
    """Equal where no entry is near 0 and no answer changes.

    Elsewhere they differ: the zoo divides by at least 1e-6, quantus by whatever is not exactly 0; a neighbour of
    another class is left out here and makes the score NaN there. By default quantus moves inputs by uniform noise
    from .02 to .2, always up; the zoo in both directions.
    """
    net, x, y, _ = world

    def map_of(x):
        return 1 + x.square().sum(1)

    def explain(model, inputs, targets, **_):
        return map_of(torch.as_tensor(inputs, dtype=torch.float32))[:, None].numpy()

    given = arrays(x, y, map_of(x))
    mine = robustness(lambda x, y: map_of(x), x, y, forward=net, draws=10, move=gaussian, radius=0.001)
    for name, kind in (
        ("input_stability", quantus.RelativeInputStability),
        ("output_stability", quantus.RelativeOutputStability),
    ):
        score = kind(nr_samples=10, perturb_func=Drawn(0.001), return_nan_when_prediction_changes=False, **QUIET)
        theirs = score(net, **given, channel_first=True, explain_func=explain)
        ratio = mine[name].numpy() / np.asarray(theirs)
        print(f"\n{name}: zoo over quantus {np.nanmin(ratio):.4f} to {np.nanmax(ratio):.4f}", end="")
        np.testing.assert_allclose(ratio[np.isfinite(ratio)], 1, rtol=1e-2)


@pytest.mark.parametrize("images", [8, 64])
def test_local_lipschitz(world, images):
    net, x, y, a = (part[:images] if isinstance(part, torch.Tensor) else part for part in world)
    draws, given = 50, arrays(x, y, a)

    how = {"nr_samples": draws, "normalise": False, "return_nan_when_prediction_changes": False, **QUIET}

    def theirs(kind, **more):
        return kind(**how, **more)(net, **given, channel_first=True, explain_func=explain)

    def ours(**more):
        return robustness(lambda x, y: saliency(net, x, y), x, y, draws=draws, **more)

    for name, kind in (("lipschitz", quantus.LocalLipschitzEstimate), ("relative_max", quantus.MaxSensitivity)):
        same = ours(move=gaussian, radius=0.1)[name]
        np.testing.assert_allclose(same, theirs(kind, perturb_func=Drawn(0.1)), rtol=2e-3)
    kind = quantus.LocalLipschitzEstimate
    best, _ = race(ours, lambda: theirs(kind))
    ratio = say(f"local Lipschitz and 4 more, {images} images, {draws} draws", best)
    assert ratio >= 2
    checked = how | {"return_nan_when_prediction_changes": True}
    best, _ = race(
        lambda: ours(forward=net),
        lambda: [
            cls(**checked)(net, **given, channel_first=True, explain_func=explain)
            for cls in (kind, quantus.MaxSensitivity, quantus.AvgSensitivity)
        ],
    )
    say("    7 read-outs against 3, predictions asked", best)
