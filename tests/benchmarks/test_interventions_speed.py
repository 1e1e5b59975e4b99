"""Intervention curves of 1000 samples beside a loop over samples and steps.

pytest -m benchmark -s tests/benchmarks/test_interventions_speed.py
"""

import time
from statistics import median

import pytest
import torch

from zoo import create_model
from zoo.concept_schema import ConceptSchema
from zoo.layers.bottlenecks.concept_embeddings import mix
from zoo.metrics.concepts._policies import NAMES, STUDIED
from zoo.metrics.concepts.interventions import Interventions

CLASSES, M, GROUPS, SAMPLES, SOME, BATCH, SEEDS = 200, 112, 28, 1000, 10, 100, 5
SIZE = M // GROUPS
COLUMNS = {f"g{j // SIZE}: {j}": {"kind": "binary", "group": f"g{j // SIZE}"} for j in range(M)}
HEADS = {"cbm": {"mode": "joint"}, "cem": {"width": 16}}


def world(name):
    """A model, its inputs, true concepts, and classes that the head gives to the true concepts."""
    torch.manual_seed(0)
    args = {"backbone": "mlp", "backbone_args": {"hidden": [64]}, "input_shape": [32], "concepts": {"columns": COLUMNS}}
    model = create_model(name, num_classes=CLASSES, **HEADS[name] | args).eval()
    for parameter in (model.concepts if name == "cbm" else model.embeddings.scorer).parameters():
        parameter.mul_(4)  # chances away from one half
    x, truth = torch.randn(SAMPLES, 32), (torch.rand(SAMPLES, M) < 0.3).float()
    y = model.intervene(x, truth, torch.ones(SAMPLES, M, dtype=torch.bool)).argmax(1)
    return model, x, truth, y


def score(model, x, truth, y, ids, policies):
    scorer = Interventions(ConceptSchema.from_config({"columns": COLUMNS}), policies=policies, seeds=SEEDS)
    for rows in ids.split(BATCH):
        state, strength = model.encode(x[rows]), model.explain(x[rows]).strength
        ends = torch.zeros_like(strength), torch.ones_like(strength)
        scorer.update(
            strength,
            strength,
            truth[rows],
            y[rows],
            rows,
            *ends,
            decide=lambda m, v, state=state: model.decide(state, m, v),
        )
    return scorer.compute()


def plain(model, x, truth, y, ids, policy):
    """One sample and one group at a time, once for each seed."""
    right = torch.zeros(GROUPS + 1, dtype=torch.float64)
    for _ in range(SEEDS):
        for i in ids.tolist():
            one = x[i : i + 1]
            state, strength = model.encode(one), model.explain(one).strength
            doubt = [-float((strength[0, g * SIZE : (g + 1) * SIZE] - 0.5).abs().mean()) for g in range(GROUPS)]
            order = (
                torch.randperm(GROUPS).tolist()
                if policy == "random"
                else sorted(range(GROUPS), key=lambda g: -doubt[g])
            )
            mask = torch.zeros(1, M, dtype=torch.bool)
            right[0] += int(model.decide(state, mask, truth[i : i + 1]).argmax() == y[i])
            for step, g in enumerate(order, 1):
                mask[0, g * SIZE : (g + 1) * SIZE] = True
                right[step] += int(model.decide(state, mask, truth[i : i + 1]).argmax() == y[i])
    return right / len(ids) / SEEDS


@pytest.mark.benchmark
@torch.no_grad()
@pytest.mark.parametrize("name", ["cbm", "cem"])
def test_curves_of_1000_samples(name):
    model, x, truth, y = world(name)
    policies, rows = ("random", "uncertainty"), torch.arange(SOME)
    few = score(model, x, truth, y, rows, policies)
    start = time.perf_counter()
    curves = {policy: plain(model, x, truth, y, rows, policy) for policy in policies}
    slow = (time.perf_counter() - start) * SAMPLES / SOME
    torch.testing.assert_close(few["curve/uncertainty"], curves["uncertainty"], rtol=0, atol=1e-12)
    for end in (0, -1):  # in any order, nothing set and everything set
        assert float(few["curve/random"][end]) == float(curves["random"][end])
    start = time.perf_counter()
    result = score(model, x, truth, y, torch.arange(SAMPLES), policies)
    fast = time.perf_counter() - start
    assert float(result["all"]) == 1.0 > float(result["none"])
    areas = ", ".join(f"{policy} {float(result[policy]):.3f}" for policy in policies)
    print(f"\n{name}: areas {areas}; zoo {fast:.1f} s, plain loop {slow:.1f} s (from {SOME}): {slow / fast:.1f} x")
    assert fast < 10


@pytest.mark.benchmark
@torch.no_grad()
@pytest.mark.parametrize("questions", [GROUPS + 1, 2 * M])
def test_many_questions_about_the_same_embeddings(questions):
    """What ``CEM.decide`` does for a curve, or for a policy that asks about every concept, beside its definition."""
    model, x, truth, _ = world("cem")
    state, value = model.encode(x[:BATCH]), truth[:BATCH]
    masks = torch.rand(questions, BATCH, M) < 0.5
    p, context = state
    ways = {
        "zoo": lambda: model.decide(state, masks, value.expand_as(masks)),
        "mixed for each": lambda: model.head(mix(context, torch.where(masks, value, p)).flatten(-2)),
    }
    torch.testing.assert_close(*(way() for way in ways.values()), rtol=1e-4, atol=1e-4)
    took = {name: [] for name in ways}
    for _ in range(5):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            took[name].append(time.perf_counter() - start)
    fast, slow = (median(t) for t in took.values())
    print(f"\n{questions} questions: zoo {fast:.3f} s, mixed for each {slow:.3f} s: {slow / fast:.1f} x")
    assert fast < slow


@pytest.mark.benchmark
@torch.no_grad()
@pytest.mark.parametrize("name", ["cbm", "cem"])
def test_ten_policies_of_1000_samples(name):
    model, x, truth, y = world(name)
    areas = {}
    total = 0.0
    for policy in (p for p in NAMES if p not in STUDIED):
        start = time.perf_counter()
        areas[policy] = float(score(model, x, truth, y, torch.arange(SAMPLES), [policy])[policy])
        took = time.perf_counter() - start
        total += took
        print(f"{name} {policy}: area {areas[policy]:.3f}, {took:.1f} s")
    assert areas["greedy"] == max(areas.values())
    assert total < 90
