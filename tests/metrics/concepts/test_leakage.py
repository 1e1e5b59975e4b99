"""The leakage gate: models that read more from their concepts than the concepts say are marked, others are not."""

import math

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from zoo.concept_schema import Concept, ConceptSchema
from zoo.evaluation.scoring import score, table
from zoo.metrics.concepts.leakage import Leakage
from zoo.models.cbm import CBM
from zoo.training.run import build, load_config

SCHEMA = ConceptSchema(
    (
        Concept("a"),
        Concept("w: x", "categorical", "w"),
        Concept("w: y", "categorical", "w"),
        Concept("b"),
    )
)
ONE, NONE = torch.ones(4), torch.zeros(4)


def world(n, *, secret, seed=0):
    """Concepts, a class that they tell in three cases of four, strengths whose amount may carry it wholly."""
    g = torch.Generator().manual_seed(seed)
    truth = (torch.rand(n, 4, generator=g) < 0.5).double()
    truth[:, 2] = 1 - truth[:, 1]
    y = (truth[:, 0] + truth[:, 1] > 0.5).long()
    y = torch.where(torch.rand(n, generator=g) < 0.25, 1 - y, y)
    amount = (
        0.6 + 0.3 * y[:, None].double() if secret else 0.6 + 0.3 * torch.rand(n, 1, generator=g, dtype=torch.float64)
    )
    return truth, torch.where(truth == 1, amount, 1 - amount), y


def fed(*, secret, linear=True, size=1000, shuffle=False, features=False):
    score, weight = Leakage(SCHEMA), torch.tensor([[-4.0, -4, 0, 0], [4, 4, 0, 0]], dtype=torch.float64)
    bend = (lambda z: z) if linear else torch.tanh

    def answer(strength, hint):
        logits = bend(strength @ weight.T - torch.tensor([-2.0, 2.0]))
        return logits + 9 * torch.stack([1 - hint, hint], -1) if secret else logits

    for learn, seed, n in ((True, 1, 400), (False, 2, 300)):
        truth, strength, y = world(n, secret=secret, seed=seed)
        hint = (strength - strength.round()).abs().amin(1) < 0.2  # an amount near 0 or 1 says class 1
        order = torch.randperm(n) if shuffle else torch.arange(n)
        for ids in order.split(size):
            s, h = strength[ids], hint[ids].double()

            def decide(mask, value, s=s, h=h):
                return answer(torch.where(mask, value, s), h)

            score.update(
                s,
                s,
                truth[ids],
                y[ids],
                ids,
                NONE,
                ONE,
                logits=answer(s, h),
                decide=decide,
                contribution=s * 0 + ONE,
                features=torch.cat([s, s], 1) if features else None,
                learn=learn,
            )
    return score


def test_a_model_that_reads_amounts_is_marked_and_one_that_does_not_is_not():
    leaks, sound = fed(secret=True).compute(), fed(secret=False).compute()
    assert float(leaks["oracle gap"]) > 0.15
    assert float(sound["oracle gap"]) < 0.03
    assert float(leaks["hard-soft gap"]) > 0.15
    assert abs(float(sound["hard-soft gap"])) < 0.05
    for told, marked in ((leaks, True), (sound, False)):
        more = {k: float(v) for k, v in told.items()}
        remark = Leakage(SCHEMA).remark(more.pop("oracle gap"), more)
        assert remark.startswith("LEAKING") == marked


def test_ceiling_and_heads_equal_scikit_learn_by_hand():
    found = fed(secret=False).compute()
    (truth, soft, y), (truth2, soft2, y2) = world(400, secret=False, seed=1), world(300, secret=False, seed=2)

    def refit(a, b):
        mean, std = a.numpy().mean(0), a.numpy().std(0)
        head = LogisticRegression(C=1 / (1e-3 * 400), max_iter=1000).fit((a.numpy() - mean) / std, y)
        return head.score((b.numpy() - mean) / std, y2)

    own = float((((truth2[:, :2].sum(1) > 0.5).long()) == y2).double().mean())
    assert float(found["ceiling"]) == pytest.approx(max(own, refit(truth, truth2)))
    assert float(found["soft"]) == pytest.approx(refit(soft, soft2))
    assert float(found["hard"]) == pytest.approx(refit((soft > 0.5).double(), (soft2 > 0.5).double()))
    assert float(found["majority class"]) == pytest.approx(float((y2 == 1).double().mean()))
    assert float(found["non-zeros per class"]) == 4
    assert float(found["linear head"]) == 1
    assert "shuffled concepts" not in found


def test_a_bent_head_is_held_to_what_any_function_of_the_concepts_can_do():
    found = fed(secret=False, linear=False).compute()
    (truth, _, y), (truth2, _, y2) = world(400, secret=False, seed=1), world(300, secret=False, seed=2)
    tree = DecisionTreeClassifier(random_state=0).fit(truth.numpy(), y)
    assert float(found["linear head"]) == 0
    assert float(found["ceiling"]) == pytest.approx(tree.score(truth2.numpy(), y2), abs=0.02)


def test_shuffled_concepts_carry_what_the_features_carry():
    """Features that hold the secret let as many meaningless concepts answer as well as true ones."""
    leaks, sound = (fed(secret=s, features=True).compute() for s in (True, False))
    assert float(leaks["shuffled concepts"]) > float(sound["shuffled concepts"]) + 0.05


def test_neither_batch_size_nor_order_matter():
    one, two = (
        fed(secret=True, features=True).compute(),
        fed(secret=True, features=True, size=7, shuffle=True).compute(),
    )
    assert {k: float(v) for k, v in one.items()} == {k: float(v) for k, v in two.items()}


def test_missing_concepts_are_taken_at_their_mean():
    truth, strength, y = world(200, secret=False)
    truth[::3, 0] = math.nan
    truth[:, 3] = math.nan
    told = Leakage(SCHEMA)
    for learn in (True, False):
        told.update(strength, strength, truth, y, torch.arange(200), NONE, ONE, logits=strength[:, :2], learn=learn)
    assert math.isfinite(float(told.compute()["ceiling"]))


def test_bad_arguments():
    with pytest.raises(ValueError, match="l2 is 0"):
        Leakage(SCHEMA, l2=0)
    truth, strength, y = world(5, secret=False)
    with pytest.raises(ValueError, match=r"truth is \(4, 4\)"):
        Leakage(SCHEMA).update(strength, strength, truth[:4], y, y, NONE, ONE, logits=strength)


def trained(mode, bottleneck, *, concept, epochs):
    """A bottleneck on Dot, whose two concepts do not tell the class, trained by hand."""
    arguments = [f"model.mode={mode}", f"model.bottleneck={bottleneck}", "data.kind=dot", "data.n_train=1000"]
    model, data = build(load_config("cbm/toys", [*arguments, "data.n_test=500", "data.n_val=10"]))
    assert isinstance(model, CBM)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        for batch in data.loader("train", shuffle=True):
            terms = model.loss(batch, {"task": 1, "concept": concept})
            optimizer.zero_grad()
            (terms["task"] + concept * terms["concept"]).backward()
            optimizer.step()
    model.eval()
    model.calibrate(data.loader("train"))
    return model, data


def test_the_gate_on_trained_models():
    """A joint logit bottleneck that hardly minds its concepts leaks; an independent one cannot."""
    results = {}
    for mode, bottleneck, concept in (("joint", "logit", 0.01), ("independent", "probability", 1.0)):
        model, data = trained(mode, bottleneck, concept=concept, epochs=12)
        results[mode] = score(model, data, "quick", progress=False)["leakage"]
    assert results["joint"].note.startswith("LEAKING")
    assert results["joint"].value > 0.1
    assert results["independent"].note == ""
    assert results["independent"].more["shuffled concepts"] > 0.5
    assert "LEAKING" in str(table(results))


def test_families_whose_units_are_no_concepts_are_told_why():
    model, data = build(load_config("bilinear_mlp/digits", ["data.limit=40"]))
    found = score(model, data, "quick", progress=False)
    for name in ("concept_accuracy", "interventions", "leakage"):
        assert found[name].note == "n/a: eigenvectors are not the concepts of the data"
