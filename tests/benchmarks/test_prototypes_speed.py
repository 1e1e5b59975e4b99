"""Prototypes against plain loops: pytest -m benchmark -s tests/benchmarks/test_prototypes_speed.py."""

import os
import time
from statistics import median

import pytest
import torch

from zoo import create_model
from zoo.batch import Batch
from zoo.layers.prototypes.similarity import similarities

CLASSES, PER_CLASS, IMAGES, DIM, CELLS, BATCH = 200, 10, 6000, 128, 7, 100


@pytest.fixture(autouse=True)
def _threads(_one_thread):
    torch.set_num_threads(int(os.environ.get("ZOO_THREADS", "2")))
    yield
    torch.set_num_threads(1)


def plain(z, y, model, units):
    """One prototype and one image at a time: its nearest own patch, then its nearest images; seconds of each."""
    start = time.perf_counter()
    for u in units:
        best, place = torch.inf, None
        for i in (y == model.owner[u]).nonzero().flatten().tolist():
            d = (z[i] - model.prototypes[u]).square().sum(0).flatten()
            at = int(d.argmin())
            if float(d[at]) < best:
                best, place = float(d[at]), (i, *divmod(at, CELLS))
        assert place == tuple(int(getattr(model, f"source_{k}")[u]) for k in ("index", "row", "col"))
        model.prototypes[u] = z[place[0], :, place[1], place[2]][:, None, None]
    project, start = time.perf_counter() - start, time.perf_counter()
    for u in units:
        nearest = [float(similarities((x - model.prototypes[u]).square().sum(0).min(), "log_l2")) for x in z]
        _ = (y[torch.tensor(nearest).topk(6).indices] == model.owner[u]).sum() >= 3
    return project, time.perf_counter() - start


@pytest.mark.benchmark
@pytest.mark.filterwarnings("ignore:pruning leaves no prototype")
@torch.no_grad()
def test_projection_and_pruning_of_2000_prototypes_on_6000_images():
    torch.manual_seed(0)
    model = create_model(
        "protopnet",
        num_classes=CLASSES,
        per_class=PER_CLASS,
        backbone="resnet10t",
        backbone_level=2,
        dim=DIM,
        addon="none",
    ).eval()
    model.backbone.entry = "end"
    x, y = (
        torch.randn(IMAGES, DIM, CELLS, CELLS),
        torch.arange(IMAGES) // (IMAGES // CLASSES),
    )  # class by class, as in CUB
    loader = [Batch(x[rows], y[rows], rows) for rows in torch.arange(IMAGES).split(BATCH)]
    start = time.perf_counter()
    model.project(loader)
    project, start = time.perf_counter() - start, time.perf_counter()
    before = {k: getattr(model, k).clone() for k in ("owner", "source_index", "source_row", "source_col")}
    prototypes = model.prototypes.detach().clone()
    numbers = model.prune(loader, k=6, least=3)
    prune = time.perf_counter() - start
    subset = range(0, CLASSES * PER_CLASS, 400)
    for name, value in before.items():
        setattr(model, name, value)
    model.prototypes = torch.nn.Parameter(prototypes, requires_grad=False)
    slow = [t * CLASSES * PER_CLASS / len(subset) for t in plain(model.addon(x), y, model, subset)]
    print(f"\n{numbers}; plain loops timed on {len(subset)} prototypes")
    for name, ours, theirs in (
        ("project", project, slow[0]),
        ("prune", prune, slow[1]),
        ("both", project + prune, sum(slow)),
    ):
        print(f"{name:8} {ours:6.1f} s, plain loop {theirs:6.1f} s: {theirs / ours:.1f} x")
    assert project + prune < 120


@pytest.mark.benchmark
def test_a_training_step_beside_that_of_a_linear_head():
    torch.manual_seed(0)
    batch = Batch(torch.randn(8, 3, 224, 224), torch.arange(8), torch.arange(8))
    common = {"num_classes": CLASSES, "backbone": "resnet18"}
    models = {
        "protopnet": create_model("protopnet", per_class=PER_CLASS, dim=DIM, **common),
        "linear head": create_model("blackbox", **common),
    }
    weights = {"task": 1.0, "cluster": 0.8, "separation": -0.08}
    took = {name: [] for name in models}
    steps = {name: torch.optim.Adam(m.parameters(), 1e-4) for name, m in models.items()}
    for round_ in range(12):
        for name, model in models.items():
            start = time.perf_counter()
            terms = model.loss(batch, weights)
            sum(weights[t] * v for t, v in terms.items()).backward()
            steps[name].step()
            steps[name].zero_grad()
            if round_ > 1:
                took[name].append(time.perf_counter() - start)
    ours, theirs = (median(t) for t in took.values())
    print(f"\na step of 8 images at 224: protopnet {ours:.3f} s, linear head {theirs:.3f} s: {ours / theirs:.3f} x")
    assert ours / theirs <= 1.15
