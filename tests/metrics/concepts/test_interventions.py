"""Intervention curves against a loop over samples, steps and groups."""

import math

import pytest
import torch

from zoo.batch import Batch
from zoo.concept_schema import Concept, ConceptSchema
from zoo.explanation import Explanation, Units
from zoo.metrics.base import Record
from zoo.metrics.concepts.interventions import Interventions

SCHEMA = ConceptSchema(
    (
        Concept("a"),
        Concept("w: x", "categorical", "w"),
        Concept("w: y", "categorical", "w"),
        Concept("c"),
        Concept("d"),
    )
)
GROUPS = [[0], [1, 2], [3], [4]]
WEIGHT = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def world(n=40, *, low=0.0, high=1.0):
    """A linear head on strengths that say 0 as ``low`` and 1 as ``high``."""
    g = torch.Generator().manual_seed(1)
    truth = (torch.rand(n, 5, generator=g) < 0.5).double()
    truth[:, 2] = 1 - truth[:, 1]
    y = ((low + truth * (high - low)) @ WEIGHT.T).argmax(1)
    share = (0.5 * truth + 0.5 * torch.rand(n, 5, generator=g, dtype=torch.float64)).clamp(0, 1)
    truth[3, 0] = torch.nan
    return truth, low + share * (high - low), y


def record_of(truth, strength, y, ids, low=0.0, high=1.0):
    def decide(mask, value):
        return torch.where(mask, value, strength) @ WEIGHT.T

    b, none = len(ids), torch.zeros(len(ids), 5, dtype=torch.float64)
    units = Units("concept", SCHEMA.names, group=SCHEMA.groups)
    explanation = Explanation(
        units, strength @ WEIGHT.T, y, strength, none, none[:, 0], torch.zeros(b, 0, dtype=torch.int64)
    )
    batch = Batch(none, y, ids, concepts=truth)
    return Record(
        batch,
        explanation,
        explanation.shown >= 0,
        ends=(none + low, none + high),
        predicted=(strength - low) / (high - low),
        decide=decide,
    )


def curve(score, policy):
    return score.compute()[f"curve/{policy}"].tolist()


def feed(score, n=40, size=40, order=None, **ends):
    truth, strength, y = world(n, **ends)
    order = torch.arange(n) if order is None else order
    for ids in order.split(size):
        score.update_from(record_of(truth[ids], strength[ids], y[ids], ids, **ends))
    return score


def by_hand(truth, strength, y, rank_of):
    """Accuracy after each step, with ``rank_of(sample)`` the groups in order."""
    right = [0] * 5
    for i in range(len(y)):
        now = strength[i].clone()
        right[0] += int((WEIGHT @ now).argmax() == y[i])
        for step, g in enumerate(rank_of(i), 1):
            for j in GROUPS[g]:
                if not truth[i, j].isnan():
                    now[j] = truth[i, j]
            right[step] += int((WEIGHT @ now).argmax() == y[i])
    return [r / len(y) for r in right]


def test_uncertainty_and_error_equal_the_loop():
    truth, strength, y = world()
    score = feed(Interventions(SCHEMA, policies=["uncertainty", "error"], seeds=2))

    def unsure(i):
        doubt = [sum(-abs(float(strength[i, j]) - 0.5) for j in js) / len(js) for js in GROUPS]
        return sorted(range(4), key=lambda g: -doubt[g])

    def far(i):
        off = [(strength[i] - truth[i]).abs().nan_to_num()[js].mean().item() for js in GROUPS]
        return sorted(range(4), key=lambda g: -off[g])

    assert curve(score, "uncertainty") == pytest.approx(by_hand(truth, strength, y, unsure))
    assert curve(score, "error") == pytest.approx(by_hand(truth, strength, y, far))


def test_greedy_equals_the_loop():
    truth, strength, y = world()

    def greedy(i):
        now, left, order = strength[i].clone(), {0, 1, 2, 3}, []
        while left:

            def gain(g, now=now):
                tried = now.clone()
                for j in GROUPS[g]:
                    tried[j] = truth[i, j] if not truth[i, j].isnan() else tried[j]
                return float((WEIGHT @ tried).softmax(0)[y[i]])

            best = max(left, key=gain)
            for j in GROUPS[best]:
                now[j] = truth[i, j] if not truth[i, j].isnan() else now[j]
            left.remove(best)
            order.append(best)
        return order

    score = feed(Interventions(SCHEMA, policies=["greedy"], seeds=1))
    assert curve(score, "greedy") == pytest.approx(by_hand(truth, strength, y, greedy))


def test_all_groups_set_is_the_truth_and_none_is_the_model():
    truth, strength, y = world()
    readouts = feed(Interventions(SCHEMA, seeds=3)).compute()
    known = torch.where(truth.isnan(), strength, truth)
    assert float(readouts["all"]) == pytest.approx(float(((known @ WEIGHT.T).argmax(1) == y).float().mean()))
    assert float(readouts["none"]) == pytest.approx(float(((strength @ WEIGHT.T).argmax(1) == y).float().mean()))
    assert float(readouts["random spread"]) > 0
    assert float(readouts["random"]) == pytest.approx(float(torch.trapezoid(readouts["curve/random"]) / 4), abs=1e-6)


@pytest.mark.parametrize("policies", [["random"], ["uncertainty", "greedy"]])
def test_neither_batch_size_nor_order_matter(policies):
    whole = feed(Interventions(SCHEMA, policies=policies, seeds=2, competence=0.7))
    mixed = feed(Interventions(SCHEMA, policies=policies, seeds=2, competence=0.7), size=7, order=torch.randperm(40))
    assert torch.equal(whole.right, mixed.right)


def test_an_encoding_other_than_zero_and_one():
    """Strengths say 0 and 1 as -3 and 2: the last point is the head on the encoded truth, which made the labels."""
    score = feed(Interventions(SCHEMA, seeds=1), low=-3.0, high=2.0)
    assert curve(score, "random")[-1] >= 39 / 40


def test_wrong_values_hurt():
    good, bad = (feed(Interventions(SCHEMA, competence=c)).compute() for c in (1.0, 0.0))
    assert float(bad["all"]) < float(good["none"]) < float(good["all"])


def test_bad_arguments():
    with pytest.raises(ValueError, match="policy 'best' is not known"):
        Interventions(SCHEMA, policies=["best"])
    with pytest.raises(ValueError, match="seeds is 0"):
        Interventions(SCHEMA, seeds=0)
    with pytest.raises(ValueError, match="competence is 2"):
        Interventions(SCHEMA, competence=2)


CANDIDATES = [[{0: 1.0}, {0: 0.0}], [{1: 1.0, 2: 0.0}, {1: 0.0, 2: 1.0}], [{3: 1.0}, {3: 0.0}], [{4: 1.0}, {4: 0.0}]]


def adaptive(policy):
    """The order of one sample by a loop over steps, groups and what a concept could turn out to be."""
    truth, strength, y = world()

    def p(state):
        return (WEIGHT @ state).softmax(0)

    def entropy(q):
        return -float((q * q.log()).sum())

    def rate(now, g, s):
        if policy == "cctp":
            state = now.clone().requires_grad_(True)
            (slope,) = torch.autograd.grad(p(state).max(), state)
            return sum(abs(float(slope[j] * now[j])) for j in GROUPS[g]) / len(GROUPS[g])
        at = p(now)
        chances = [
            s[next(j for j, v in c.items() if v == 1.0)] if max(c.values()) else 1 - s[min(c)] for c in CANDIDATES[g]
        ]
        total = float(sum(chances))
        out = surprise = moved = 0.0
        for candidate, chance in zip(CANDIDATES[g], [float(c) / total for c in chances], strict=True):
            state = now.clone()
            for j, v in candidate.items():
                state[j] = v
            q = p(state)
            if policy == "eudtp":
                out += chance * (entropy(at) - entropy(q))
            elif policy == "ectp":
                out += chance * float((q * (q / at).log()).sum())
            else:
                moved += chance * float(q[at.argmax()] - at.max())
                surprise -= chance * math.log2(chance) if chance else 0.0
        return out if policy != "coop" else surprise + abs(moved)

    def order(i):
        now, left, results = strength[i].clone(), {0, 1, 2, 3}, []
        while left:
            best = max(left, key=lambda g: rate(now, g, strength[i]))
            for j in GROUPS[best]:
                now[j] = truth[i, j] if not truth[i, j].isnan() else now[j]
            left.remove(best)
            results.append(best)
        return results

    return by_hand(truth, strength, y, order)


@pytest.mark.parametrize("policy", ["coop", "eudtp", "ectp", "cctp"])
def test_policies_that_look_ahead_equal_the_loop(policy):
    assert curve(feed(Interventions(SCHEMA, policies=[policy], seeds=2)), policy) == pytest.approx(adaptive(policy))


@pytest.mark.parametrize("policy", ["global_error", "global_gain"])
def test_global_policies_learn_one_order_from_validation(policy):
    truth, strength, y = world()
    rows = torch.arange(26)
    seen_once = (strength + torch.randn(40, 5, generator=torch.Generator().manual_seed(3)) * 0.4).clamp(0, 1)
    score = Interventions(SCHEMA, policies=[policy], seeds=1)
    for ids in rows.split(6):
        score.fit(record_of(truth[ids], seen_once[ids], y[ids], ids), "val")
    assert score.fit_splits == ("val",)

    def worth(g):
        total = 0.0
        for i in rows.tolist():
            now = seen_once[i].clone()
            for j in GROUPS[g]:
                if not truth[i, j].isnan():
                    now[j] = truth[i, j]
                    total += (
                        float((seen_once[i, j] >= 0.5) != (truth[i, j] > 0.5))
                        / len(GROUPS[g])
                        * (policy == "global_error")
                    )
            if policy == "global_gain":
                total += float((WEIGHT @ now).softmax(0)[y[i]] - (WEIGHT @ seen_once[i]).softmax(0)[y[i]])
        return total

    assert len({worth(g) for g in range(4)}) == 4  # no ties, whose order is random
    order = sorted(range(4), key=lambda g: -worth(g))
    assert curve(feed(score), policy) == pytest.approx(by_hand(truth, strength, y, lambda i: order))


def test_gain_and_groups_by_hand():
    readouts = feed(Interventions(SCHEMA, policies=["error"], seeds=2)).compute()
    line = readouts["curve/error"].tolist()
    area = sum((a + b) / 2 for a, b in zip(line, line[1:], strict=False)) / 4
    assert float(readouts["error gain"]) == pytest.approx((area - line[0]) / (line[-1] - line[0]))
    enough = next(i for i, a in enumerate(line) if a >= line[0] + 0.95 * (line[-1] - line[0]))
    assert float(readouts["error groups"]) == enough
