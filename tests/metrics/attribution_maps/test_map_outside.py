"""Scores of maps from outside, through a suite, and in company."""

import copy
from dataclasses import replace

import pytest
import torch
from rows_maps import FEED, MAKE, ROWS, _maps, attribute, forward
from torch import nn
from torchmetrics import MetricCollection
from worlds import Toy, batch, take

from zoo import create_model
from zoo.metrics.attribution_maps import (
    Infidelity,
    MapComplexity,
    MapDeletion,
    MapLocalization,
    MapSensitivity,
    Road,
    SensitivityN,
    evidence,
    gini,
)
from zoo.metrics.suite import Suite
from zoo.registry import SCORES as REGISTRY

pytestmark = pytest.mark.filterwarnings("ignore:The ``compute`` method")
SCORES = REGISTRY.all()
MAP_SCORES = {name: cls for name, cls in SCORES.items() if "attribution_maps" in cls.__module__}
LIST = [
    {"score": "map_complexity"},
    {"score": "map_localization"},
    {"score": "map_sensitivity", "draws": 2},
    {"score": "map_deletion", "steps": 3},
    {"score": "road", "percentages": [20, 60]},
    {"score": "infidelity", "draws": 3},
    {"score": "sensitivity_n", "subsets": 4, "shares": [0.1, 0.3]},
    {"score": "mprt", "stages": 2},
    {"score": "dissection", "quantile": 0.05},
]
PARTS = list("abcde")


class Answering(Toy):
    """A toy that can be asked for its answer alone, in float64, so that splits of a batch agree."""

    def __init__(self, **how):
        super().__init__(**how)
        self.double()

    def forward(self, x):
        return self.explain(x, target=torch.zeros(len(x), dtype=torch.int64)).logits


def numbers(suite):
    return {name: {"value": r.value} | r.more | r.curves for name, r in suite.compute().items()}


def test_a_suite_scores_any_family_with_maps():
    model, samples = Answering(), batch()
    kept = copy.deepcopy(model.state_dict())
    suite = Suite(LIST, model.units, PARTS)
    suite.update(model, samples)
    results = suite.compute()
    assert set(results) == {entry["score"] for entry in LIST} == set(MAP_SCORES) <= set(SCORES)
    assert {r.support for r in results.values()} == {13}
    assert all(r.value == r.value for r in results.values())
    assert all(torch.equal(v, kept[k]) for k, v in model.state_dict().items())
    explanation = model.eval().explain(samples.x, samples.y, model.units.of_class(samples.y)).detach()
    assert results["map_complexity"].value == pytest.approx(float(gini(evidence(explanation, 32)).mean()))


def test_a_suite_scores_a_family_whose_units_no_class_owns():
    torch.manual_seed(0)
    model = create_model("bilinear_mlp", num_classes=3, width=8, patterns=4, input_shape=[3, 12, 12])
    samples = batch(9, side=12)
    suite = Suite(LIST, model.units, PARTS)
    suite.update(model, samples)
    results = suite.compute()
    assert {r.support for r in results.values()} == {9}
    explanation = model.eval().explain(samples.x, samples.y).detach()
    assert results["map_complexity"].value == pytest.approx(float(gini(evidence(explanation, 12)).mean()))
    assert abs(results["mprt"].value) < 0.5


def test_a_suite_in_parts_agrees_with_one():
    model, samples = Answering(), batch()
    whole, parts = Suite(LIST, model.units, PARTS), Suite(LIST, model.units, PARTS)
    whole.update(model, samples)
    for rows in torch.randperm(13, generator=torch.Generator().manual_seed(0)).split(4):
        parts.update(model, take(samples, rows))
    one, two = numbers(whole), numbers(parts)
    for name, values in one.items():
        for key, value in values.items():
            assert two[name][key] == pytest.approx(value, rel=1e-5, nan_ok=True), (name, key)


def test_what_cannot_be_scored_stays_silent_and_says_why():
    for model, samples, why in (
        (Answering(place=False), batch(), "the units have no place in an image"),
        (Answering(), replace(batch(), points=None, visible=None), "the data have no part annotations"),
    ):
        suite = Suite(LIST, model.units, PARTS)
        suite.update(model, samples)
        not_applicable = {name for name, result in suite.compute().items() if result.value is None}
        assert not_applicable == ({"map_localization", "dissection"} if "part " in why else set(MAP_SCORES))
        assert {suite.compute()[name].note for name in not_applicable} == {f"n/a: {why}"}


def test_a_share_of_the_samples_is_chosen_by_their_ids():
    model, samples, lists = (
        Answering(),
        batch(40),
        [[{"score": "infidelity", "draws": 1, "share": s}] for s in (1, 0.5)],
    )
    suites = [Suite(entries, model.units) for entries in (*lists, lists[1])]
    for suite in suites[:2]:
        suite.update(model, samples)
    for rows in torch.arange(40).split(1):
        suites[2].update(model, take(samples, rows))
    every, share, again = (suite.compute()["infidelity"] for suite in suites)
    assert every.support == 40
    assert 10 < share.support < 30
    assert share.support == again.support
    assert share.value == pytest.approx(again.value, rel=1e-9)
    assert share.protocol == "yeh2019-infidelity-v1/draws1/share0.5"


def test_intervals_of_a_share_of_the_samples():
    model, samples = Answering(), batch(60)
    entry = {"score": "infidelity", "draws": 2, "share": 0.5}
    plain, sure = (Suite([entry | more], model.units) for more in ({}, {"interval": True}))
    plain.update(model, samples)
    for rows in torch.arange(60).split(25):
        sure.update(model, take(samples, rows))
    one, two = plain.compute()["infidelity"], sure.compute()["infidelity"]
    assert two.value == pytest.approx(one.value)
    assert two.support == one.support
    low, high = two.more["infidelity low"], two.more["infidelity high"]
    shared = [i for i in range(60) if has_infidelity(model, take(samples, torch.tensor([i])))]
    assert len(shared) == one.support
    alone = Suite([entry | {"share": 1.0, "interval": True}], model.units)
    alone.update(model, take(samples, torch.tensor(shared)))
    expected = alone.compute()["infidelity"]
    assert one.value == pytest.approx(expected.value)
    assert (low, high) == pytest.approx((expected.more["infidelity low"], expected.more["infidelity high"]))
    assert low < one.value < high


def has_infidelity(model, samples):
    """Whether one sample is among the share."""
    suite = Suite([{"score": "infidelity", "draws": 2, "share": 0.5}], model.units)
    suite.update(model, samples)
    return suite.compute()["infidelity"].value is not None


def test_six_lines_score_a_map_of_one_s_own():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    x, y = torch.randn(10, 1, 8, 8), torch.arange(10) % 3

    def saliency(x, y):  # as captum.attr.Saliency(net).attribute(x, target=y).sum(1)
        x = x.clone().requires_grad_()
        return torch.autograd.grad(net.eval()(x).gather(1, y[:, None]).sum(), x)[0].abs().sum(1)

    scores = MetricCollection([MapComplexity(), Road(), Infidelity()], compute_groups=False)
    scores.update(attribution=saliency(x, y), forward=net, x=x, target=y)
    readouts = scores.compute()
    assert 0 < float(readouts["MapComplexity_gini"]) < 1
    assert -1 <= float(readouts["Road_road"]) <= 1
    moved = MapSensitivity(draws=3)
    moved.update(saliency, x, y, net)
    assert float(moved.compute()["lipschitz"]) > 0


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("map_sensitivity", "radius", 0.3),
        ("map_sensitivity", "draws", 3),
        ("map_deletion", "steps", 7),
        ("map_deletion", "baseline", 0.5),
        ("road", "percentages", (30,)),
        ("road", "noise", 2.0),
        ("infidelity", "change", "noise"),
        ("infidelity", "size", 0.6),
        ("infidelity", "draws", 5),
        ("sensitivity_n", "shares", (0.2,)),
        ("sensitivity_n", "subsets", 9),
        ("sensitivity_n", "baseline", 2.0),
        ("mprt", "stages", 1),
        ("mprt", "seed", 1),
        ("dissection", "quantile", 0.2),
        ("dissection", "min_iou", 1e-4),
    ],
)
def test_no_argument_is_ignored(name, argument, value):
    rows, known = ROWS[name](), {"dissection": {"num_units": 7, "part_count": 4}}.get(name, {})
    feed = FEED.get(name, lambda score, rows: score.update(**rows))
    scores = [SCORES[name](**known), SCORES[name](**known, **{argument: value})]
    for score in scores:
        feed(score, rows)
    one, two = (next(iter(score.compute().values())) for score in scores)
    assert float(one) != pytest.approx(float(two), rel=1e-6)
    assert scores[0].protocol != scores[1].protocol


def test_all_kinds_compose():
    rows = _maps()
    scores = MetricCollection(
        [
            MapComplexity(),
            MapLocalization(),
            MapDeletion(steps=2),
            Road(percentages=(50,)),
            SensitivityN(subsets=3),
            MapSensitivity(draws=1),
        ],
        compute_groups=False,
    )
    scores.update(**rows, forward=forward, attribute=attribute)
    alone = MapLocalization()
    alone.update(rows["attribution"], rows["mask"])
    assert float(scores.compute()["MapLocalization_mass"]) == float(alone.compute()["mass"])


@pytest.mark.parametrize("name", sorted({*ROWS} - {"dissection"}))  # its level is by definition that of all samples
def test_other_samples_scale_does_not_reach_a_sample(name):
    """What a sample adds to the sums is the same alone, beside quiet and beside loud samples."""
    rows = ROWS[name]()
    make = MAKE.get(name, SCORES[name])
    feed = FEED.get(name, lambda score, rows: score.update(**rows))

    def total(rows):
        score = make()
        feed(score, rows)
        return torch.cat([score.value_total, score.curve_total])

    alone = total({k: v[:1] for k, v in rows.items()})
    key = "attribution" if "attribution" in rows else "x"
    for scale in (1e-5, 1, 1e5):
        enlarged = rows | {key: torch.cat([rows[key][:1], rows[key][1:] * scale])}
        both, rest = total(enlarged), total({k: v[1:] for k, v in enlarged.items()})
        room = 1e-12 * both.abs().max() + 1e-12
        torch.testing.assert_close(both - rest, alone, rtol=1e-6, atol=float(room))
