"""Intervals: replicates equal a loop over weighted samples, and they cover the truth."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from rows_parts import WITH_INTERVALS, parts_make
from scipy.stats import binomtest, t
from worlds import Toy, batch, take

from zoo.concept_schema import Concept, ConceptSchema
from zoo.metrics import (
    Accuracy,
    AnswerAgreement,
    Brier,
    Completeness,
    Consistency,
    Leakage,
    Misalignment,
    Redundancy,
    Stability,
    Suite,
)
from zoo.metrics.base import Score
from zoo.metrics.wrappers._estimates import Estimate
from zoo.metrics.wrappers._replicates import BUDGET
from zoo.metrics.wrappers._weighted_sums import poisson
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
    readouts = score.compute()
    plain = parts_make(name)
    plain.update(**rows)
    for key, value in plain.compute().items():
        assert torch.allclose(readouts[key].double(), value.double(), rtol=0, atol=0, equal_nan=True), key
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
    parts = [fed(name, rows) for rows in torch.randperm(B, generator=torch.Generator().manual_seed(1)).split(7)]
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
    assert score.hit_replicates.dtype == torch.float64


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


def test_t_interval_by_hand():
    """Replicates 1 and 3 around a value of 1.5: mean 2, variance 2, units add 2; t of one degree of freedom."""
    estimate = Estimate(torch.tensor(1.5).double(), torch.tensor([1.0, 3.0, torch.nan]).double(), 2.0)
    assert estimate.interval() == pytest.approx((1 - 12.7062 * 2, 1 + 12.7062 * 2), rel=1e-5)
    low, high = estimate.interval(0.5)
    assert high - low == pytest.approx(2 * 1.0 * 2)
    assert Estimate(torch.tensor(1.5), torch.tensor([1.0, 3.0]), 2.0, 0).interval()[0] == 0
    assert all(math.isnan(end) for end in Estimate(torch.tensor(torch.nan), torch.zeros(3)).interval())


@pytest.mark.parametrize(("right", "n"), [(60, 60), (59, 60), (30, 60), (0, 15)])
def test_proportions_have_the_exact_interval(right, n):
    """Accuracy: Clopper-Pearson by scipy; the bootstrap variance differs from p (1 - p) / n by its own noise."""
    score = BootstrapInterval(Accuracy(), replicates=1000)
    logits = torch.zeros(n, 2)
    logits[:right, 0] = 1
    logits[right:, 1] = 1
    score.update(logits, torch.zeros(n).long(), sample_ids=torch.arange(n))
    readouts = score.compute()
    exact = binomtest(right, n).proportion_ci(method="exact")
    assert float(readouts["accuracy low"]) == pytest.approx(exact.low, abs=0.02)
    assert float(readouts["accuracy high"]) == pytest.approx(exact.high, abs=0.02)
    if right in (0, n):
        assert [float(readouts[f"accuracy {end}"]) for end in ("low", "high")] == pytest.approx([exact.low, exact.high])


def test_clusters_count_once():
    """60 right answers of 15 sequences are 15 trials, not 60."""
    score = BootstrapInterval(Accuracy())
    for part in (slice(0, 30), slice(30, 60)):  # a sequence may be spread over batches
        ids = (torch.arange(60) % 15)[part]
        score.update(torch.tensor([[1.0, 0.0]]).repeat(30, 1), torch.zeros(30).long(), sample_ids=ids)
    assert float(score.compute()["accuracy low"]) == pytest.approx(0.025 ** (1 / 15))


def test_samples_of_one_sequence_are_drawn_together():
    """In a suite ``Batch.sequence`` decides what is drawn; without it every sample is."""
    samples = batch(b=12)
    sequence = torch.arange(12) // 4
    ends = {}
    for name, given in (("sequences", replace(samples, sequence=sequence)), ("samples", samples)):
        suite = Suite([{"score": "accuracy", "interval": True}], Toy().units)
        for rows in torch.arange(12).split(5):
            part = take(given, rows)
            suite.update(Toy(), part if given.sequence is None else replace(part, sequence=sequence[rows]))
        ends[name] = suite.compute()["accuracy"].more
    score = BootstrapInterval(Accuracy())
    logits = Toy().eval().explain(samples.x, samples.y).logits.detach()
    score.update(logits, samples.y, sample_ids=sequence)
    expected = {key: float(value) for key, value in score.compute().items() if key.startswith("accuracy ")}
    assert {key: ends["sequences"][key] for key in expected} == pytest.approx(expected)
    assert ends["samples"]["accuracy high"] < ends["sequences"]["accuracy high"]  # 12 trials, not 3


def test_consistent_units_are_no_certainty():
    """20 of 20 units pass in every replicate: units like these pass with at least 0.83; these very units with 0.93."""
    for units, n in (("sample", 20), ("fixed", 50)):
        score = BootstrapInterval(Consistency(20, 1), units=units)
        score.update(torch.ones(50, 20, 1).bool(), torch.ones(50, 1).bool(), sample_ids=torch.arange(50))
        readouts = score.compute()
        assert float(readouts["consistency low"]) == pytest.approx(100 * 0.025 ** (1 / n))
        assert float(readouts["consistency high"]) == 100
        assert ("and units like these" in score.describe({})) == (units == "sample")


def test_equal_models_may_differ_a_little():
    """60 of 60 right twice: the difference is within what 60 samples leave open."""
    estimates = []
    for _ in range(2):
        score = BootstrapInterval(Accuracy())
        score.update(torch.tensor([[1.0, 0.0]]).repeat(60, 1), torch.zeros(60).long(), sample_ids=torch.arange(60))
        score.compute()
        estimates.append(score.estimates["accuracy"])
    unseen = 1 - 0.025 ** (1 / 60)
    assert (estimates[0] - estimates[1]).interval() == pytest.approx((-unseen, unseen))


def test_memory_is_bounded_and_nothing_is_resampled_in_vain(monkeypatch):
    large = BootstrapInterval(Consistency(20_000, 15))
    assert 8 * large.replicates * (2 * 20_000 * 15 + 20_000 + 15 + 1) <= BUDGET
    assert large.replicates == 54
    assert "hit_replicates" not in vars(large)
    monkeypatch.setattr(BootstrapInterval, "_replicate", None)
    readouts = large.compute()  # no samples: no replicates, no intervals
    assert int(readouts["support"]) == 0
    assert "soft low" not in readouts


def test_units_widen_the_interval():
    """Two units of rates 1 and 0, the same in every image: resampling images alone would be certain."""
    score = BootstrapInterval(Consistency(2, 1))
    part_hits = torch.tensor([[[1], [0]]]).bool().repeat(50, 1, 1)
    score.update(part_hits, torch.ones(50, 1).bool(), sample_ids=torch.arange(50))
    score.compute()
    soft = score.estimates["soft"]
    assert float(soft.replicates.var()) == 0
    assert float(soft.units) == pytest.approx(0.5 / 2)


def test_two_models_on_the_same_samples_are_paired():
    """The second misses one hit more than the first in ten: their difference is far surer than either."""
    g = torch.Generator().manual_seed(0)
    part_hits = torch.rand(300, 40, 1, generator=g) < torch.rand(300, 1, 1, generator=g)
    worse = part_hits & (torch.rand(300, 40, 1, generator=g) > 0.1)
    scores = []
    for hits in (part_hits, worse):
        scores.append(BootstrapInterval(Consistency(40, 1)))
        scores[-1].update(hits, torch.ones(300, 1).bool(), sample_ids=torch.arange(300))
        scores[-1].compute()
    one, two = (score.estimates["soft"] for score in scores)
    gap = one - two
    assert float(gap.value) == pytest.approx(float(one.value - two.value))
    assert float(gap.replicates.std()) < 0.3 * float(one.replicates.std())
    assert gap.interval()[0] > 0
    other = BootstrapInterval(Consistency(40, 1))
    other.update(part_hits, torch.ones(300, 1).bool(), sample_ids=torch.arange(1, 301))
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
        part_hits = torch.rand(6 * n, 10, p, generator=g) < rates(k).view(6, 10, p).repeat_interleave(n, 0)
        visible = torch.rand(6 * n, p, generator=g) < 0.85
        ids = torch.arange(k).view(6, 10).repeat_interleave(n, 0)
        score = BootstrapInterval(Consistency(k, p), replicates=replicates)
        score.update(part_hits, visible, ids, sample_ids=torch.arange(6 * n))
        readouts = score.compute()
        ends = [(float(readouts[f"{name} low"]), float(readouts[f"{name} high"])) for name in ("soft", "consistency")]
        inside += torch.tensor([low <= t <= high for (low, high), t in zip(ends, truth, strict=True)])
    return (inside / runs).tolist()


@pytest.mark.parametrize("n", [30, 100])
def test_intervals_cover(n):
    assert min(covers(n, 20, replicates=60)) >= 0.85


@pytest.mark.slow
@pytest.mark.parametrize("n", [30, 100])
def test_intervals_cover_in_many_runs(n):
    covered = covers(n, 300, seed=1)
    assert min(covered) >= 0.85, covered


class Endless(Completeness):
    """A score without intervals."""

    intervals = {}
    no_interval = "it never ends"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BootstrapInterval(Endless()), "Endless can have no interval: it never ends"),
        (
            lambda: BootstrapInterval(Redundancy(2), units="fixed"),
            "Redundancy has an interval for units like these alone",
        ),
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
    entries = [{"score": name, "interval": True} for name in ("consistency", "stability", "explanation_stability")]
    plain = [{"score": name} for name in ("consistency", "stability", "explanation_stability")]
    results = []
    for scores, size in ((entries, 13), (entries, 4), (plain, 13)):
        suite = Suite(scores, Toy().units, list("abcde"))
        for rows in torch.arange(13).split(size):
            suite.update(Toy(), take(batch(), rows))
        results.append(suite.compute())
    for name, result in results[2].items():
        sure, again = (one[name] for one in results[:2])
        assert sure.value == result.value
        assert sure.protocol == result.protocol
        assert {**sure.more, **result.more} == pytest.approx(sure.more)
        assert sure.more == pytest.approx(again.more, rel=1e-12)
    more = results[0]["consistency"].more
    assert more["soft low"] <= more["soft high"]


@pytest.mark.parametrize("kind", ["unit_correlation", "insertion_deletion", "sufficiency", "inherent_interpretability"])
def test_scores_that_learn_first_have_intervals_too(kind):
    model, data = build(load_config("bilinear_mlp/digits", ["data.limit=60"]))
    plain, sure = (Suite([{"score": kind, "interval": sure}], model.units) for sure in (False, True))
    for _ in range(2):  # again after a reset, which forgets what was studied
        for suite in (plain, sure):
            for loaded_batch in data.loader("train"):
                suite.fit(model, loaded_batch, "train")
            for loaded_batch in data.loader("test"):
                suite.update(model, loaded_batch)
        one, two = plain.compute()[kind], sure.compute()[kind]
        assert one.value == two.value
        low, high = (value for key, value in two.more.items() if key.endswith((" low", " high")))
        assert low < high
        plain.reset(), sure.reset()
    assert plain.compute()[kind].note == "n/a: no samples of the train split to fit on"


def test_agreement_of_repeated_samples_is_that_with_other_samples():
    """The slow way: every sample as often as its weight says, compared with the copies of other samples alone."""
    g = torch.Generator().manual_seed(0)
    contribution = torch.nn.functional.one_hot(torch.randint(0, 5, (30,), generator=g), 5).float()
    contribution[:3] = torch.tensor([[1.0, 1, 0, 0, 0], [0, 1, 1, 0, 0], [1, 0, 0, 1, 1]])  # sets that occur once
    answer = torch.randint(0, 2, (30,), generator=g)
    score = BootstrapInterval(AnswerAgreement(5), replicates=6)
    for rows in torch.arange(30).split(11):
        score.update(contribution[rows], answer[rows], sample_ids=rows)
    assert float(score.compute()["same"]) == float(_agreement(contribution, answer, torch.ones(30).long()))
    for r, weight in enumerate(poisson(torch.arange(30), 6).T):
        wanted = _agreement(contribution, answer, weight)
        assert float(score.estimates["same"].replicates[r]) == pytest.approx(wanted, rel=1e-12)


def _agreement(contribution, answer, weight):
    copies = torch.arange(len(weight)).repeat_interleave(weight).tolist()
    sets = [frozenset(row.nonzero()[:, 0].tolist()) for row in contribution]
    shares = []
    for i in copies:
        others = [j for j in copies if j != i and sets[j] == sets[i]]
        if others:
            shares.append(sum(int(answer[j] == answer[i]) for j in others) / len(others))
    return sum(shares) / len(shares)


def test_leakage_gap_has_the_interval_of_a_paired_difference():
    """The standard deviation of the replicates is the standard error; samples with unknown concepts do not count."""
    g = torch.Generator().manual_seed(1)
    n = 200
    truth = (torch.rand(n, 2, generator=g) > 0.5).float()
    truth[::4, 1] = torch.nan
    y = torch.where(torch.rand(n, generator=g) < 0.8, truth[:, 0].long(), torch.randint(0, 2, (n,), generator=g))
    right = torch.rand(n, generator=g) < 0.95
    logits = torch.nn.functional.one_hot(torch.where(right, y, 1 - y), 2).float()
    concepts = ConceptSchema((Concept("a"), Concept("b")))
    strength = truth.nan_to_num(0.5)
    ends = {"low": torch.zeros(n, 2), "high": torch.ones(n, 2), "logits": logits}
    score, plain = BootstrapInterval(Leakage(concepts), replicates=4000), Leakage(concepts)
    for learn in (True, False):
        for rows in torch.randperm(n, generator=g).split(90):
            batch_rows = {key: value[rows] for key, value in ends.items()}
            arguments = (strength[rows], strength[rows], truth[rows], y[rows], rows)
            score.update(*arguments, **batch_rows, learn=learn, sample_ids=rows)
            plain.update(*arguments, **batch_rows, learn=learn)
    readouts, wanted = score.compute(), plain.compute()
    assert {key: float(value) for key, value in wanted.items() if value.numel() == 1 and not value.isnan()} == {
        key: float(readouts[key]) for key, value in wanted.items() if value.numel() == 1 and not value.isnan()
    }
    estimate = score.estimates["oracle gap"]
    assert estimate.count == 150
    assert float(estimate.replicates.std()) == pytest.approx(float(wanted["standard error"]), rel=0.05)
    assert 0 < float(readouts["oracle gap low"]) < float(readouts["oracle gap high"])


def test_scores_whose_inputs_are_not_resampled_vary_units_alone():
    """Four units of which one repeats another: the exact interval of 1 of 4."""
    score = BootstrapInterval(Redundancy(4))
    rows = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    rows[:, 3] = rows[:, 0]
    score.update(rows, sample_ids=torch.arange(50))
    readouts = score.compute()
    exact = binomtest(1, 4).proportion_ci(method="exact")
    assert float(readouts["duplicate"]) == 0.25
    assert float(readouts["duplicate low"]) <= exact.low + 1e-9
    assert float(readouts["duplicate high"]) >= exact.high - 1e-9
    assert "product_replicates" not in vars(score)
    assert score.describe({}).endswith("95 % interval for units like these on these inputs")
    large = BootstrapInterval(Redundancy(5000))
    large.update(torch.ones(2, 5000), sample_ids=torch.arange(2))
    assert "duplicate low" not in large.compute()


def test_stability_of_several_draws():
    rows = WITH_INTERVALS["stability"]()
    score, plain = BootstrapInterval(Stability(7, 4, draws=2), replicates=4), Stability(7, 4, draws=2)
    for draw in range(2):
        score.update(**rows, draw=draw, sample_ids=torch.arange(B))
        plain.update(**rows, draw=draw)
    readouts = score.compute()
    for key, value in plain.compute().items():
        assert torch.allclose(readouts[key].double(), value.double(), rtol=0, atol=0, equal_nan=True), key


def test_intervals_of_units_alone_have_the_degrees_of_freedom_of_the_units():
    """100 units of which 30 repeat another: about the exact interval of 30 of 100, not one of two replicates."""
    score = BootstrapInterval(Redundancy(100))
    rows = torch.randn(60, 100, generator=torch.Generator().manual_seed(0))
    rows[:, 70:] = rows[:, :30]
    score.update(rows, sample_ids=torch.arange(60))
    readouts = score.compute()
    exact = binomtest(30, 100).proportion_ci(method="exact")
    assert float(readouts["duplicate"]) == 0.3
    assert float(readouts["duplicate low"]) == pytest.approx(exact.low, abs=0.02)
    assert float(readouts["duplicate high"]) == pytest.approx(exact.high, abs=0.02)


def test_scores_with_one_bound_have_skewed_intervals():
    """Positive values: replicates without skewness give the t interval of the logarithm, those with it a wider one."""
    even = torch.tensor([1.9, 2.0, 2.1]).repeat(100).double()
    value, error = torch.tensor(2.0).double(), float(even.std())
    low, high = Estimate(value, even, lowest=0, count=60).interval()
    half = t.ppf(0.975, 59) * error / 2
    assert (low, high) == pytest.approx((2 - 2 * half, 2 * math.exp(half)))
    skewed = torch.cat([even, torch.full((15,), 2.4).double()])
    one, two = Estimate(value, skewed, lowest=0, count=60).interval()
    mirrored = Estimate(-value, -skewed, highest=0, count=60).interval()
    center = 2 * 2.0 - float(skewed.mean())
    assert two - center > 1.15 * (center - one)
    assert mirrored == pytest.approx((-two, -one))
    low, high = Estimate(value, 20 * even - 38, lowest=0, count=60).interval()
    assert low == 0
    assert math.isfinite(high)


def test_rare_inputs_that_decide_a_score_widen_its_interval():
    """60 nearly perfect Brier scores do not exclude that 1 in 17 inputs has the worst of all."""
    logits = torch.tensor([[9.0, 0.0, 0.0]]).repeat(60, 1) + 0.1 * torch.rand(60, 3)
    score = BootstrapInterval(Brier(3))
    score.update(logits, torch.zeros(60).long(), sample_ids=torch.arange(60))
    unseen = 1 - 0.025 ** (1 / 60)
    value = score.compute()
    assert float(value["brier high"]) == pytest.approx(2 * unseen, abs=1e-3)
    assert float(value["brier low"]) == pytest.approx(0, abs=1e-6)


def test_a_drop_of_more_than_100_percent_is_in_its_interval():
    """Strengths such as cosines fall below 0 under an attack."""
    g = torch.Generator().manual_seed(0)
    score = BootstrapInterval(Misalignment(), replicates=200)
    before, after = torch.rand(40, 2, generator=g) + 0.5, -0.5 * torch.rand(40, 2, generator=g)
    unit, competitors = torch.zeros(40).long(), torch.zeros(40, 2).bool()
    maps, right = torch.rand(40, 2, 2, generator=g), torch.ones(40).bool()
    rows = (before, after, unit, competitors, maps, maps)
    score.update(*rows, sample_ids=torch.arange(40), size=(8, 8), right_before=right, right_after=right)
    found = score.compute()
    assert found["activation"] > 100
    assert found["activation low"] < found["activation"] < found["activation high"]
    assert found["location high"] <= 100
