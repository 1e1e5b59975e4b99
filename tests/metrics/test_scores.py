"""What holds for every score: the result depends on nothing but the set of samples."""

import inspect
import os
import socket
from importlib import import_module
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from worlds import Toy, batch

from zoo import metrics
from zoo.concept_schema import Concept, ConceptSchema
from zoo.metrics import Accuracy, Completeness, EffectiveUnits
from zoo.metrics.suite import Suite
from zoo.metrics.wrappers._weighted_sums import poisson
from zoo.metrics.wrappers.bootstrap import BootstrapInterval
from zoo.registry import SCORES as REGISTRY
from zoo.testing import check_score

SCORES = REGISTRY.all()

pytestmark = pytest.mark.filterwarnings("ignore:The ``compute`` method")

B, U, K, P = 24, 7, 3, 4
CONCEPTS = ConceptSchema(
    (*(Concept(f"c{i}") for i in range(4)), *(Concept(f"v{i}", "categorical", "v") for i in range(3)))
)
HEAD = torch.randn(3, U, dtype=torch.float64, generator=torch.Generator().manual_seed(9))

EXTRA = [import_module(file.stem) for file in sorted(Path(__file__).parent.glob("rows_*.py"))]
MAKE = {name: way for rows in EXTRA for name, way in getattr(rows, "MAKE", {}).items()}
FEED = {name: way for rows in EXTRA for name, way in getattr(rows, "FEED", {}).items()}


def samples(seed=0):
    """Arguments of every score's update, one row for each sample."""
    g = torch.Generator().manual_seed(seed)
    ids = torch.rand(B, U, generator=g).argsort(1)[:, :K]
    ids[::5, 2] = -1
    part_hits, after = (torch.rand(B, K, P, generator=g) > 0.4 for _ in range(2))
    gate = torch.rand(B, K, generator=g) > 0.2
    contribution = torch.randn(B, U, generator=g) * (torch.rand(B, U, generator=g) > 0.3)
    visible = torch.rand(B, P, generator=g) > 0.3
    truth = (torch.rand(B, U, generator=g) > 0.5).float()
    truth[:, 4:] = torch.eye(3)[torch.randint(0, 3, (B,), generator=g)]
    truth[::7, 1] = torch.nan
    strength = torch.rand(B, U, generator=g).half().float()  # so that nothing changes when it is made half again
    concepts = {"predicted": strength, "truth": truth}
    fixed = concepts | {
        "strength": strength,
        "low": torch.zeros(B, U),
        "high": torch.ones(B, U),
        "index": torch.arange(B),
        "y": torch.randint(0, 3, (B,), generator=g),
    }
    return {
        "concept_accuracy": concepts,
        "interventions": fixed,
        "leakage": fixed | {"contribution": contribution, "features": torch.randn(B, 3, generator=g)},
        "consistency": {
            "hits": part_hits,
            "visible": visible,
            "unit_ids": ids,
            "gate": gate,
            "sample_ids": torch.arange(B),
        },
        "stability": {
            "before": part_hits,
            "after": after,
            "unit_ids": ids,
            "gate": gate,
            "gate_after": gate.flip(0),
            "moved": torch.rand(B, K, generator=g).double(),
        },
        "completeness": {
            "answer": contribution.sum(1) + 1,
            "base": torch.rand(B, generator=g),
            "contribution": contribution,
        },
        "effective_units": {"contribution": contribution},
        "accuracy": {"logits": torch.randn(B, 5, generator=g), "y": torch.randint(0, 5, (B,), generator=g)},
    } | {name: rows() for more in EXTRA for name, rows in more.ROWS.items()}


def make(name):
    if name in MAKE:
        return MAKE[name]()
    known = inspect.signature(SCORES[name]).parameters
    return SCORES[name](
        **{k: v for k, v in {"num_units": U, "part_count": P, "concepts": CONCEPTS}.items() if k in known}
    )


def feed(name, score, rows, order=slice(None)):
    rows = {key: value[order] for key, value in rows.items()}
    if name in FEED:
        FEED[name](score, rows)
    elif name == "leakage":  # what is judged is also learnt from
        score.update(**rows, **answers(rows), logits=rows["strength"].double() @ HEAD.T, learn=True)
        score.update(**rows, **answers(rows), logits=rows["strength"].double() @ HEAD.T)
    else:
        score.update(**rows, **(answers(rows) if name == "interventions" else {}))
    return score


def answers(rows):
    """What the concept scores ask: the logits of a linear head with some strengths set."""
    return {"decide": lambda mask, value: torch.where(mask, value, rows["strength"]).double() @ HEAD.T}


def agree(one, two):
    assert list(one) == list(two)
    for key, value in one.items():
        exact = not value.is_floating_point() or key in ("consistency", "accuracy", "unit/rate")
        assert torch.allclose(value.double(), two[key].double(), rtol=0 if exact else 1e-12, atol=0, equal_nan=True), (
            key
        )


every_score = pytest.mark.parametrize("name", list(SCORES))


def test_all_scores_are_tried():
    assert set(samples()) == set(SCORES)


EXACT = ("consistency", "accuracy", "unit/rate")


@every_score
def test_what_holds_for_every_score(name):
    refuses = "target" if name == "map_sensitivity" else ""
    update = lambda score, rows: feed(name, score, rows)  # noqa: E731
    rows = samples()[name]
    check_score(
        lambda: make(name),
        rows,
        update=update,
        exact=EXACT,
        refuses=refuses,
    )


class WithIds:
    """A ``BootstrapInterval`` that takes the arguments of its score, and adds the identities of the samples."""

    def __init__(self, interval, ids):
        self.interval, self.ids = interval, ids

    def update(self, *rows, **named):
        self.interval.update(*rows, **named | {"sample_ids": self.ids})


@every_score
def test_every_score_has_an_interval_or_says_why_not(name):
    score, rows = make(name), samples()[name]
    if not score.intervals:
        assert score.no_interval, f"{name} names no intervals; expected the reason in no_interval"
        return
    interval = BootstrapInterval(make(name), replicates=40)
    feed(name, WithIds(interval, torch.arange(B)), rows)
    readouts = interval.compute()
    plain = feed(name, score, rows).compute()
    agree(plain, {key: readouts[key] for key in plain})
    given = [key for key in score.intervals if key in readouts]
    assert given
    for key in given:
        _, lowest, highest = score.intervals[key]
        low, high = float(readouts[f"{key} low"]), float(readouts[f"{key} high"])
        assert lowest <= low < high <= highest, f"{key}: {low} to {high}"
        assert low - 0.1 * (high - low) <= float(readouts[key]) <= high + 0.1 * (high - low)
    assert "95 % interval for " in interval.describe({})
    with pytest.raises(ValueError, match=name):
        feed(name, WithIds(interval, torch.arange(B)), rows | wrong_rows(score, rows))


def wrong_rows(score, rows):
    """One argument with a value that its kind does not allow, for a wrapper that has to pass the error on."""
    field = next(field for field in rows if score.inputs.get(field, "any") not in ("any", "ids"))
    return {field: torch.full_like(rows[field].double(), torch.inf)}


OWN_REPLICATES = ("answer_agreement", "leakage")  # keep rows: tests of their own


@every_score
def test_a_replicate_is_the_score_of_repeated_samples(name):
    score, rows = make(name), samples()[name]
    if name in OWN_REPLICATES or not score.resampled or not score.intervals:
        pytest.skip("no sums over samples")
    interval = BootstrapInterval(make(name), replicates=3)
    feed(name, WithIds(interval, torch.arange(B)), rows)
    interval.compute()
    for r, weight in enumerate(poisson(torch.arange(B), 3).T):
        again = make(name)
        for i in torch.arange(B).repeat_interleave(weight):  # one at a time: an identity occurs once in a batch
            feed(name, again, rows, i[None])
        wanted = again.compute()
        for key, estimate in interval.estimates.items():
            assert float(estimate.replicates[r]) == pytest.approx(float(wanted[key]), rel=1e-9, nan_ok=True), key


class Broken(Accuracy):
    """An accuracy with one fault at a time."""

    title, fault = "Broken", ""

    def update(self, logits, y):
        if self.fault == "shapes":
            logits = logits.flatten(1)
        if self.fault == "scale":
            logits = logits.clamp(-1, 1) if bool((logits.abs() > 1e5).any()) else logits
        super().update(logits, y)
        if self.fault == "batches":
            self.correct = self.correct + int(len(y) == 1)
        if self.fault == "empty" and not len(y):
            self.correct = self.correct + 1
        if self.fault == "arguments":
            logits.mul_(2)

    def compute(self):
        readouts = super().compute()
        return readouts | ({"curve/accuracy": torch.ones(3)} if self.fault == "axes" else {})


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("batches", "batches of 1"),
        ("empty", "an empty batch"),
        ("arguments", "changed its argument logits"),
        ("scale", "scaled by 1e.06"),
        ("shapes", "one dimension too many"),
        ("axes", "no .x label, y label."),
    ],
)
def test_a_fault_of_a_score_is_named(fault, words):
    rows = {"logits": torch.randn(16, 5, generator=torch.Generator().manual_seed(0)), "y": torch.arange(16) % 5}

    class Faulty(Broken):
        pass

    Faulty.fault = fault
    with pytest.raises(AssertionError, match=words):
        check_score(Faulty, rows)


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        ("title", "", "title is empty"),
        ("meaning", "two\nlines", "one short line"),
        ("unit", "percent", "expected one of"),
        ("unit_readouts", {"rate": "rate"}, "unit_readouts names .'rate'"),
    ],
)
def test_missing_words_are_named(attribute, value, words):
    rows = {"logits": torch.randn(16, 5), "y": torch.arange(16) % 5}
    with pytest.raises(AssertionError, match=words):
        check_score(type("Wordless", (Accuracy,), {attribute: value}), rows)


@every_score
def test_inference_mode_half_precision_and_strides(name):
    rows = samples()[name]
    with torch.inference_mode():
        score = feed(name, make(name), rows, torch.arange(B))
    feed(name, score, rows, torch.arange(B))
    twice = score.compute()
    assert int(twice["support"]) == 2 * B
    odd = {k: v.repeat_interleave(2, 0)[::2] for k, v in rows.items()}
    agree(feed(name, make(name), rows, torch.arange(B)).compute(), feed(name, make(name), odd, slice(None)).compute())
    half = {k: v.bfloat16() if v.dtype == torch.float32 else v for k, v in rows.items()}
    back = {k: v.float() if v.dtype == torch.bfloat16 else v for k, v in half.items()}
    agree(feed(name, make(name), half, slice(None)).compute(), feed(name, make(name), back, slice(None)).compute())


def test_completeness_of_known_gaps():
    score = Completeness()
    score.update(torch.tensor([2.0, 0.0]), torch.tensor([0.5, 0.0]), torch.tensor([[1.0, 0.25], [1.0, -1.0]]))
    readouts = score.compute()
    assert [float(readouts[k]) for k in ("gap", "max", "absolute")] == [0.0625, 0.125, 0.25]
    assert float(readouts["pooled"]) == 0.125
    score.update(torch.tensor([0.0]), torch.tensor([0.0]), torch.tensor([[1.0, 0.0]]))
    assert float(score.compute()["gap"]) == torch.inf


def test_an_answer_near_zero_spoils_the_mean_gap_but_neither_the_pooled_nor_the_absolute_one():
    score = Completeness()
    score.update(torch.tensor([1.0, 1.0, 1e-30]).double(), torch.zeros(3), torch.tensor([[1.0], [1.0], [1e-6]]))
    readouts = score.compute()
    assert float(readouts["gap"]) > 1e20
    assert float(readouts["pooled"]) == pytest.approx(5e-7)
    assert float(readouts["absolute"]) == pytest.approx(1e-6)


@pytest.mark.parametrize("share", [0, -0.1, 1.1, "abc", None, float("nan")])
def test_effective_units_refuse_a_share_that_means_nothing(share):
    with pytest.raises(ValueError, match=r"share is .*; expected a number above 0"):
        EffectiveUnits(3, share=share)


def test_effective_units_of_another_share_have_another_id():
    assert EffectiveUnits(3, share=0.9).protocol == "zoo-size-v1"
    assert EffectiveUnits(3, share=0.5).protocol == "zoo-size-v1/share0.5"


def test_effective_units_of_known_shares():
    score = EffectiveUnits(10)
    score.update(torch.eye(10)[:1])
    score.update(-torch.ones(1, 10) * 0.1)  # nine of ten carry exactly 90 %
    score.update(torch.zeros(1, 10))
    readouts = score.compute()
    assert float(readouts["effective_units"]) == pytest.approx(10 / 3)
    assert float(readouts["gini"]) == pytest.approx(0.45)
    assert float(readouts["dead"]) == 0
    assert readouts["unit/used"].tolist() == [2] + [1] * 9


def test_effective_units_agree_with_a_loop():
    rows = samples()["effective_units"]["contribution"]
    needed = []
    for row in rows.double().abs().tolist():
        left, n = 0.9 * sum(row), 0
        for value in sorted(row, reverse=True):
            if left <= 1e-12:
                break
            left, n = left - value, n + 1
        needed.append(n)
    score = EffectiveUnits(U)
    score.update(rows)
    assert float(score.compute()["effective_units"]) == pytest.approx(sum(needed) / len(needed))


def test_accuracy_counts_and_refuses_unknown_classes():
    score = Accuracy()
    score.update(torch.tensor([[1.0, 1.0], [0.0, 3.0]]), torch.tensor([0, 0]))
    assert float(score.compute()["accuracy"]) == 0.5
    with pytest.raises(ValueError, match="classes 0 to 1"):
        score.update(torch.zeros(1, 2), torch.tensor([2]))
    with pytest.raises(ValueError, match="accuracy.y is torch.float32; expected integers"):
        score.update(torch.zeros(1, 2), torch.tensor([1.0]))
    with pytest.raises(ValueError, match="accuracy.logits of input 1 holds nan"):
        score.update(torch.tensor([[0.0, 1.0], [torch.nan, torch.nan]]), torch.tensor([0, 0]))


def as_numbers(suite):
    return {name: result.to_json() for name, result in suite.compute().items()}


def _worker(rank, port, path):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    mine = torch.arange(17) if rank == 0 else torch.arange(17, B)  # unequal shares
    readouts = {name: feed(name, make(name), rows, mine).compute() for name, rows in samples().items()}
    suite = Suite("evaluate/quick", Toy().units, list("abcde"), control=True)
    if rank == 0:  # the other process has no data at all
        suite.update(Toy(), batch())
    readouts["suite"] = as_numbers(suite)
    torch.save(readouts, f"{path}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_agree_with_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(_worker, (port, str(tmp_path)), nprocs=2)
    suite = Suite("evaluate/quick", Toy().units, list("abcde"), control=True)
    suite.update(Toy(), batch())
    for rank in range(2):
        loaded = torch.load(tmp_path / f"{rank}.pt")
        assert loaded["suite"] == as_numbers(suite)
        for name, rows in samples().items():
            agree(feed(name, make(name), rows, torch.arange(B)).compute(), loaded[name])


def test_public_classes_are_the_suite_s():
    assert {cls.__name__ for cls in SCORES.values()} <= set(metrics.__all__)
