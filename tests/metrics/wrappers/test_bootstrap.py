"""Intervals: replicates equal a loop over weighted samples, and they cover the truth."""

import copy

import pytest
import torch
from rows_parts import CONCEPTS, WITH_INTERVALS, parts_make
from worlds import Toy, batch, take

from zoo.metrics import Completeness, Consistency, Leakage, Stability, Suite
from zoo.metrics.base import Score
from zoo.metrics.wrappers._estimates import Estimate, poisson
from zoo.metrics.wrappers.bootstrap import BootstrapInterval
from zoo.training.run import build, load_config

pytestmark = pytest.mark.filterwarnings("ignore:The ``compute`` method")
B = 24


def fed(name, order=slice(None), replicates=8, ids=None):
    score = BootstrapInterval(parts_make(name), replicates=replicates)
    ids = torch.arange(B) if ids is None else ids
    score.update(**{k: v[order] for k, v in WITH_INTERVALS[name]().items()}, sample_ids=ids[order])
    return score


def agree(one, two):
    assert list(one) == list(two)
    for key, value in one.items():
        assert torch.allclose(value.double(), two[key].double(), rtol=1e-12, atol=1e-12, equal_nan=True), key


def test_weights_are_poisson_of_sample_and_replicate_alone():
    weight = poisson(torch.arange(20000), 50)
    assert float(weight.double().mean()) == pytest.approx(1, abs=0.005)
    assert float(weight.double().var()) == pytest.approx(1, abs=0.01)
    assert float((weight == 0).double().mean()) == pytest.approx(0.3679, abs=0.003)
    assert torch.corrcoef(weight[:, :10].double().T).triu(1).abs().max() < 0.03
    assert torch.equal(poisson(torch.tensor([7, 3]), 50), weight[[7, 3]])
    assert torch.equal(poisson(torch.tensor([7]), 20)[0], weight[7, :20])


@pytest.mark.parametrize("name", WITH_INTERVALS)
def test_a_replicate_is_the_score_of_repeated_samples(name):
    """The slow way: each sample fed to a fresh score as often as its weight says."""
    score, rows = fed(name), WITH_INTERVALS[name]()
    found = score.compute()
    plain = parts_make(name)
    plain.update(**rows)
    for key, value in plain.compute().items():
        assert torch.allclose(found[key].double(), value.double(), rtol=0, atol=0, equal_nan=True), key
    for r, weight in enumerate(poisson(torch.arange(B), 8).T):
        repeated = torch.arange(B).repeat_interleave(weight)
        again = parts_make(name)
        again.update(**{k: v[repeated] for k, v in rows.items()})
        wanted = again.compute()
        for read_out, estimate in score.estimates.items():
            assert float(estimate.replicates[r]) == pytest.approx(float(wanted[read_out]), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", WITH_INTERVALS)
def test_batches_order_merging_and_empty_batches_do_not_matter(name):
    whole = fed(name).compute()
    parts = [fed(name, some) for some in torch.randperm(B, generator=torch.Generator().manual_seed(1)).split(7)]
    empty = fed(name, torch.arange(0))
    assert int(copy.deepcopy(empty).compute()["support"]) == 0
    for order in ((0, 1, 2, 3), (3, 1, 0, 2)):
        total = copy.deepcopy(empty)
        for i in order:
            total.merge_state(parts[i])
        agree(whole, total.compute())
    total.reset()
    total.update(**WITH_INTERVALS[name](), sample_ids=torch.arange(B))
    agree(whole, total.compute())


def test_inference_mode_and_half_leave_the_sums_exact():
    with torch.inference_mode():
        score = fed("consistency").half()
    score.update(**WITH_INTERVALS["consistency"](), sample_ids=torch.arange(B))
    assert int(score.compute()["support"]) == 2 * B
    assert score.hit_again.dtype == torch.float64


def test_rows_of_one_image_are_drawn_together():
    """Every row three times, once as clusters of three and once as samples of their own: three times the variance."""
    rows = {k: v.repeat_interleave(3, 0) for k, v in WITH_INTERVALS["consistency"]().items()}
    both = []
    for ids in (torch.arange(B).repeat_interleave(3), torch.arange(3 * B)):
        score = BootstrapInterval(parts_make("consistency"), replicates=400)
        score.update(**rows, sample_ids=ids)
        score.compute()
        both.append(float(score.estimates["soft"].replicates.var()))
    assert both[0] / both[1] == pytest.approx(3, rel=0.5)
    alone = fed("consistency", replicates=400)
    alone.compute()
    assert both[0] == pytest.approx(float(alone.estimates["soft"].replicates.var()), rel=1e-9)


def test_interval_by_hand():
    """Replicates 1 and 3 around a value of 1.5: mean 2, variance 2, units add 2."""
    estimate = Estimate(torch.tensor(1.5).double(), torch.tensor([1.0, 3.0, torch.nan]).double(), torch.tensor(2.0))
    low, high = estimate.interval()
    assert (float(low), float(high)) == pytest.approx((1 - 1.959964 * 2, 1 + 1.959964 * 2), rel=1e-6)
    capped = Estimate(torch.tensor(1.5), torch.tensor([1.0, 3.0]), torch.tensor(2.0), 0, 2).interval()
    assert [float(x) for x in capped] == [0, 2]
    narrow = estimate.interval(0.5)
    assert float(narrow[1] - narrow[0]) == pytest.approx(2 * 0.6744898 * 2, rel=1e-6)


def test_units_widen_the_interval():
    """Two units of rates 1 and 0, the same in every image: resampling images alone would be certain."""
    score = BootstrapInterval(Consistency(2, 1))
    met = torch.tensor([[[1], [0]]]).bool().repeat(50, 1, 1)
    score.update(met, torch.ones(50, 1).bool(), sample_ids=torch.arange(50))
    score.compute()
    soft = score.estimates["soft"]
    assert float(soft.replicates.var()) == 0
    assert float(soft.units) == pytest.approx(0.5 / 2)


def test_two_models_on_the_same_samples_are_paired():
    """The second misses one hit more than the first in ten: their difference is far surer than either."""
    g = torch.Generator().manual_seed(0)
    met = torch.rand(300, 40, 1, generator=g) < torch.rand(300, 1, 1, generator=g)
    worse = met & (torch.rand(300, 40, 1, generator=g) > 0.1)
    scores = []
    for hits in (met, worse):
        scores.append(BootstrapInterval(Consistency(40, 1)))
        scores[-1].update(hits, torch.ones(300, 1).bool(), sample_ids=torch.arange(300))
        scores[-1].compute()
    one, two = (score.estimates["soft"] for score in scores)
    gap = one - two
    assert float(gap.value) == pytest.approx(float(one.value - two.value))
    assert float(gap.replicates.std()) < 0.3 * float(one.replicates.std())
    assert float(gap.interval()[0]) > 0
    other = BootstrapInterval(Consistency(40, 1))
    other.update(met, torch.ones(300, 1).bool(), sample_ids=torch.arange(1, 301))
    other.compute()
    with pytest.raises(ValueError, match="other samples"):
        _ = one - other.estimates["soft"]


def covers(n, runs, seed=0, replicates=200):
    """Shares of runs whose interval holds the truth: mean best rate and share of units at least 0.8, of all units."""
    g = torch.Generator().manual_seed(seed)
    k, p, inside = 60, 4, torch.zeros(2)

    def rates(units):
        out = 0.3 * torch.rand(units, p, generator=g)
        out[:, 0] = 0.35 + 0.65 * torch.rand(units, generator=g) ** 0.5
        return out

    best = rates(200000).amax(1)
    truth = float(best.mean()), 100 * float((best >= 0.8).double().mean())
    for _ in range(runs):
        met = torch.rand(6 * n, 10, p, generator=g) < rates(k).view(6, 10, p).repeat_interleave(n, 0)
        visible = torch.rand(6 * n, p, generator=g) < 0.85
        ids = torch.arange(k).view(6, 10).repeat_interleave(n, 0)
        score = BootstrapInterval(Consistency(k, p), replicates=replicates)
        score.update(met, visible, ids, sample_ids=torch.arange(6 * n))
        found = score.compute()
        ends = [(float(found[f"{name} low"]), float(found[f"{name} high"])) for name in ("soft", "consistency")]
        inside += torch.tensor([low <= t <= high for (low, high), t in zip(ends, truth, strict=True)])
    return (inside / runs).tolist()


@pytest.mark.parametrize("n", [30, 100])
def test_intervals_cover(n):
    assert min(covers(n, 20, replicates=60)) >= 0.85


@pytest.mark.slow
@pytest.mark.parametrize("n", [30, 100])
def test_intervals_cover_in_many_runs(n):
    found = covers(n, 300, seed=1)
    assert min(found) >= 0.85, found


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BootstrapInterval(Completeness()), "Completeness can have no interval"),
        (lambda: BootstrapInterval(Consistency(2, 2), replicates=1), "replicates is 1"),
        (lambda: BootstrapInterval(Consistency(2, 2), level="a"), "level is 'a'"),
    ],
)
def test_refuses_what_it_cannot_do(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_wants_an_id_for_each_row():
    score, rows = BootstrapInterval(Consistency(7, 4)), WITH_INTERVALS["consistency"]()
    with pytest.raises(ValueError, match="sample_ids"):
        score.update(**rows, sample_ids=torch.arange(3))


def test_a_score_that_refuses_a_batch_hears_normally_again():
    score = BootstrapInterval(Consistency(7, 4))
    with pytest.raises(ValueError, match="hits"):
        score.update(torch.ones(2, 3, 9).bool(), torch.ones(2, 4).bool(), sample_ids=torch.arange(2))
    assert "_add" not in vars(score.score)
    assert Score._add is type(score.score)._add


@pytest.mark.parametrize("interval", ["yes", 200])
def test_a_suite_refuses_other_answers(interval):
    with pytest.raises(ValueError, match=r"interval of score 'consistency' is .*; expected true or false"):
        Suite([{"score": "consistency", "interval": interval}], Toy().units, list("abcde"))


def test_a_suite_gives_intervals_where_asked():
    asked = [{"score": name, "interval": True} for name in ("consistency", "stability", "explanation_stability")]
    plain = [{"score": name} for name in ("consistency", "stability", "explanation_stability")]
    found = []
    for scores, size in ((asked, 13), (asked, 4), (plain, 13)):
        suite = Suite(scores, Toy().units, list("abcde"))
        for rows in torch.arange(13).split(size):
            suite.update(Toy(), take(batch(), rows))
        found.append(suite.compute())
    for name, result in found[2].items():
        sure, again = (one[name] for one in found[:2])
        assert sure.value == result.value
        assert sure.protocol == result.protocol
        assert {**sure.more, **result.more} == pytest.approx(sure.more)
        assert sure.more == pytest.approx(again.more, rel=1e-12)
    more = found[0]["consistency"].more
    assert more["soft low"] <= more["soft high"]


@pytest.mark.parametrize("kind", ["unit_correlation", "insertion_deletion", "sufficiency", "inherent_interpretability"])
def test_scores_that_learn_first_have_intervals_too(kind):
    model, data = build(load_config("bilinear_mlp/digits", ["data.limit=60"]))
    plain, sure = (Suite([{"score": kind, "interval": sure}], model.units) for sure in (False, True))
    for _ in range(2):  # again after a reset, which forgets what was studied
        for suite in (plain, sure):
            for some in data.loader("train"):
                suite.fit(model, some, "train")
            for some in data.loader("test"):
                suite.update(model, some)
        one, two = plain.compute()[kind], sure.compute()[kind]
        assert one.value == two.value
        low, high = (value for key, value in two.more.items() if key.endswith((" low", " high")))
        assert low < high
        plain.reset(), sure.reset()
    assert plain.compute()[kind].note == "n/a: no samples of the train split to fit on"


def test_scores_that_do_not_add_up_have_none():
    with pytest.raises(ValueError, match="Leakage can have no interval"):
        BootstrapInterval(Leakage(CONCEPTS))


def test_stability_of_several_draws():
    rows = WITH_INTERVALS["stability"]()
    score, plain = BootstrapInterval(Stability(7, 4, draws=2), replicates=4), Stability(7, 4, draws=2)
    for draw in range(2):
        score.update(**rows, draw=draw, sample_ids=torch.arange(B))
        plain.update(**rows, draw=draw)
    found = score.compute()
    for key, value in plain.compute().items():
        assert torch.allclose(found[key].double(), value.double(), rtol=0, atol=0, equal_nan=True), key
