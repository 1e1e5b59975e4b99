"""How many answers sdm-digits accepts on digits, on damaged digits and on what is no digit, beside its black box.

``pytest -m benchmark -s tests/benchmarks/test_sdm_foreign.py`` prints the table. The black box accepts by the same rule
for the probability of each class, chosen on the same validation samples; it has no distance.
"""

import pytest
import torch

import zoo
from zoo.layers.exemplars.acceptance import acceptance

pytestmark = pytest.mark.benchmark


def whole(data, split):
    batches = list(data.loader(split))
    return torch.cat([b.x for b in batches]), torch.cat([b.y for b in batches])


@torch.inference_mode()
def test_what_is_accepted(capsys):
    model, box = zoo.load("sdm-digits"), zoo.load("blackbox-digits")
    digits = zoo.create_data("digits", size=32)
    x, y = whole(digits, "test")
    known, truth = whole(digits, "val")
    p = box(known).double().softmax(1)
    least = acceptance(p.amax(1), p.argmax(1), truth, 10, 0.95)
    g = torch.Generator().manual_seed(0)
    inputs = {"digits": x}
    for noise in (0.25, 0.5, 1.0):
        inputs[f"digits, noise {noise}"] = x + noise * torch.randn(x.shape, generator=g)
    inputs["digits, inverted"] = -x
    inputs["Fashion-MNIST"] = zoo.create_data("fashion_mnist", size=32).samples("test", range(1000)).x
    inputs["uniform noise"] = 2 * torch.rand(1000, 3, 32, 32, generator=g) - 1
    share = {}
    with capsys.disabled():
        for name, images in inputs.items():
            own, other = model(images), box(images).double().softmax(1)
            taken, plain = model.accepts(images), other.amax(1) >= least[other.argmax(1)]
            cells = [f"{float(t.double().mean()):.3f}" for t in (taken, plain)]
            for answer, kept in ((own.argmax(1), taken), (other.argmax(1), plain)):
                right = (answer == y)[kept].double() if len(images) == len(y) else torch.zeros(0)
                cells.append(f"{float(right.mean()):.3f} of {len(right)}" if len(right) else "")
            print("\n|", " | ".join([name, *cells]), "|")
            share[name] = float(taken.double().mean())
    assert share["digits"] > 0.9
    assert max(share["Fashion-MNIST"], share["uniform noise"]) < 0.1
