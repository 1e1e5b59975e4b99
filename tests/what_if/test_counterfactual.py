"""Counterfactuals of models against all changes, each asked of the model itself."""

from itertools import combinations, product

import numpy as np
import pytest
import torch

from zoo import create_model
from zoo.batch import Batch
from zoo.inputs.table import TableInputs
from zoo.task import Classification, Regression
from zoo.what_if.choices import OTHER
from zoo.what_if.counterfactual import Change, answer_after, choices_of

KINDS = {"a": "binary", "b": "binary", "wing: long": "categorical", "wing: short": "categorical", "size": "continuous"}
CONCEPTS = {"columns": {name: {"kind": kind, "group": name.split(":")[0]} for name, kind in KINDS.items()}}


def by_asking(model, x, choices, targets, most):
    """(changes, cost) of the smallest change after which the model itself answers with one of the targets."""
    slots = choices.slots
    for size in range(1, most + 1):
        best = np.inf
        for subset in combinations(slots, size):
            for options in product(*(range(len(slot.words)) for slot in subset)):
                picked = [(s, o) for s, o in zip(subset, options, strict=True)]
                changes = [Change(s.name, s.now, s.words[o], s.values[o]) for s, o in picked]
                if int(model.task.explained(answer_after(model, x, changes))[0]) in targets:
                    best = min(best, sum(float(s.cost[o]) for s, o in picked))
        if best < np.inf:
            return size, best
    return None


def concept_model(task=None, **extra):
    torch.manual_seed(1)
    c = 4 if task is None else task.classes
    model = create_model("cbm", num_classes=c, concepts=CONCEPTS, backbone="mlp", input_shape=[6], **extra)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    model = model.double().eval()
    if task is not None:
        model.task = task
    return model


@torch.no_grad()
@pytest.mark.parametrize("task", [None, Classification(2, threshold=0.7, temperature=2.0, offset=(0.3, -0.3))])
def test_concepts(task):
    model = concept_model(task)
    x = torch.randn(6, 6, generator=torch.Generator().manual_seed(2)).double()
    answers = model.task.explained(model(x)).tolist()
    discrete = ["a", "b", "wing"]
    found = model.counterfactual(x, max_changes=3, allowed=discrete)
    for i, choices in enumerate(c.only(discrete) for c in choices_of(model, x)):
        targets = set(range(model.task.classes)) - {answers[i]}
        expected = by_asking(model, x[i : i + 1], choices, targets, 3)
        if expected is None:
            assert found[i].target is None
            continue
        assert (len(found[i].changes), found[i].cost) == (expected[0], pytest.approx(expected[1]))
        assert found[i].target == int(model.task.explained(found[i].logits[None])[0])
        assert found[i].target != answers[i] == found[i].answer
    assert any(f.target is not None for f in found)


@torch.no_grad()
def test_one_class_and_some_concepts():
    model = concept_model()
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(3)).double()
    answers = model(x).argmax(1).tolist()
    for target in range(4):
        for i in range(4):
            if answers[i] == target:
                with pytest.raises(ValueError, match="which is the answer"):
                    model.counterfactual(x[i : i + 1], target=target)
                continue
            found = model.counterfactual(x[i : i + 1], target=target, allowed=["a", "wing"])[0]
            choices = choices_of(model, x[i : i + 1])[0].only(["a", "wing"])
            expected = by_asking(model, x[i : i + 1], choices, {target}, 2)
            assert (found.target is None) == (expected is None)
            assert {c.name for c in found.changes} <= {"a", "wing"}
            if expected is not None:
                assert (len(found.changes), found.cost) == (expected[0], pytest.approx(expected[1]))


def fitted(classes=2, pairs=2):
    rng = np.random.default_rng(0)
    n = 150
    data = {
        "age": rng.integers(18, 60, n).astype(float).tolist(),
        "size": rng.normal(0, 1, n).round(2).tolist(),
        "color": rng.choice(["red", "green", "blue"], n).tolist(),
        "member": rng.choice(["yes", "no"], n).tolist(),
    }
    score = 0.06 * (np.array(data["age"]) - 40) + 1.5 * np.array(data["size"]) * (np.array(data["member"]) == "yes")
    score = score + (np.array(data["color"]) == "red")
    state = np.digitize(score + rng.normal(0, 0.4, n), [0.4] if classes == 2 else [-0.4, 0.8])
    data["y"] = np.array(["low", "middle", "high"])[state].tolist()
    model = create_model("additive", num_classes=classes, input_shape=[4]).eval()
    model.inputs = TableInputs.fit(data, target="y", encoding="values")
    model.task = Classification(classes)
    reading = model.inputs.read(data)
    batch = Batch(reading.x, reading.y, torch.arange(n))
    model.fit_tables([batch], max_pairs=pairs, inner_splits=2, max_bins=5)
    return model, reading.x


@torch.no_grad()
@pytest.mark.parametrize("classes", [2, 3])
def test_columns(classes):
    model, x = fitted(classes)
    assert model.extra_metrics([])["pairs"] >= (1 if classes == 2 else 0)
    x = x[:5]
    found = model.counterfactual(x, max_changes=2)
    answers = model(x).argmax(1).tolist()
    for i, choices in enumerate(choices_of(model, x)):
        targets = set(range(classes)) - {answers[i]}
        expected = by_asking(model, x[i : i + 1], choices, targets, 2)
        assert (found[i].target is None) == (expected is None)
        if expected is not None:
            assert (len(found[i].changes), found[i].cost) == (expected[0], pytest.approx(expected[1]))


@torch.no_grad()
def test_options_of_a_column_are_all_that_the_model_tells_apart():
    """Any value gives the logits of the present value or of one of the options."""
    model, x = fitted()
    row = x[:1]
    logits = {tuple(model(row)[0].tolist())}
    slot = next(s for s in choices_of(model, row)[0].slots if s.name == "size")
    j = list(model.inputs.schema.names).index("size")
    for value in slot.values:
        changed = row.clone()
        changed[0, j] = value
        logits.add(tuple(model(changed)[0].tolist()))
    for value in np.linspace(-5, 5, 2001):
        changed = row.clone()
        changed[0, j] = value
        assert tuple(model(changed)[0].tolist()) in logits


def test_nobody_is_told_to_become_other():
    rows = 300
    rng = np.random.default_rng(0)
    data = {"job": [f"rare {i}" if i < 3 else "abc"[i % 3] for i in range(rows)], "x": rng.normal(size=rows).tolist()}
    data["y"] = ["no" if j == "a" else "yes" for j in data["job"]]
    model = create_model("additive", num_classes=2, input_shape=[2]).eval()
    model.inputs = TableInputs.fit(data, target="y", encoding="values")
    reading = model.inputs.read(data)
    model.fit_tables([Batch(reading.x, reading.y, torch.arange(rows))], max_pairs=0, inner_splits=2)
    slot = choices_of(model, reading.x[3:4])[0].slots[0]
    assert slot.name == "job"
    assert OTHER not in slot.words
    assert "missing" not in slot.words
    assert slot.now not in slot.words


def test_sentences():
    model, x = fitted()
    found = model.counterfactual(x[:20], max_changes=3)
    texts = [f.sentences(model.class_names) for f in found]
    one = next(i for i, f in enumerate(found) if len(f.changes) == 1)
    change = found[one].changes[0]
    answer, new = (model.class_names[c] for c in (found[one].answer, found[one].target))
    assert texts[one] == [
        f"The answer is “{answer}”.",
        f"It would be “{new}” if {change.name} were “{change.to}” instead of “{change.now}”, all else as it is.",
    ]
    none = model.counterfactual(x[:1], allowed=[], max_changes=2)[0]
    assert none.sentences(model.class_names, asked=1)[1] == (
        f"No change of up to 2 of the columns that may change gives the answer “{model.class_names[1]}”."
    )


def test_mistakes_are_named():
    model = concept_model()
    x = torch.zeros(1, 6).double()
    with pytest.raises(ValueError, match=r"allowed names 'wnig', which cannot be changed, did you mean wing"):
        model.counterfactual(x, allowed=["wnig"])
    with pytest.raises(ValueError, match="target is 7; expected a class, 0 to 3"):
        model.counterfactual(x, target=7)
    with pytest.raises(ValueError, match="max_changes is 0"):
        model.counterfactual(x, max_changes=0)
    with pytest.raises(ValueError, match="does not follow from its units by one sum"):
        concept_model(head="mlp").counterfactual(x)
    number = create_model("cbm", num_classes=1, concepts=CONCEPTS, backbone="mlp", input_shape=[6]).eval()
    number.task = Regression()
    with pytest.raises(ValueError, match="the task is regression; expected above or below"):
        number.counterfactual(torch.zeros(1, 6))
    with pytest.raises(ValueError, match="above or below is given and the task of the model is classification"):
        model.counterfactual(x, above=2.0)


SIZE = {"size": {"kind": "continuous", "group": "size", "mean": 2.0, "std": 0.5}}
LENGTH = {"length": {"kind": "continuous", "group": "length", "mean": -1.0, "std": 3.0}}
NUMBERS = {"columns": {"a": {"kind": "binary", "group": "a"}, **SIZE, **LENGTH}}


def number_model(task):
    torch.manual_seed(3)
    model = create_model("cbm", num_classes=task.outputs, concepts=NUMBERS, backbone="mlp", input_shape=[6])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
        model.concepts.weight.mul_(0.05)  # numbers within their ranges
        model.concepts.bias.zero_()
    model = model.double().eval()
    model.task = task
    return model


def least_by_grid(model, x, good, steps=160):
    """(changes, cost) of the least change of a, size and length on a fine grid, each asked of the model."""
    now = model.explain(x).strength[0]
    sizes, lengths = (torch.linspace(m - 4 * s, m + 4 * s, steps).double() for m, s in ((2.0, 0.5), (-1.0, 3.0)))
    best = None
    for a, size, length in product((None, 0.0, 1.0), (False, True), (False, True)):
        count = (a is not None) + size + length
        rows = now.repeat(steps * steps if size and length else steps, 1)
        grid = torch.cartesian_prod(sizes, lengths)
        if a is not None:
            rows[:, 0] = a
        if size:
            rows[:, 1] = grid[:, 0] if length else sizes
        if length:
            rows[:, 2] = grid[:, 1] if size else lengths
        cost = (rows - now).abs() / torch.tensor([1.0, 2.0, 12.0])
        answers = model.intervene(x.repeat(len(rows), 1), rows, torch.ones_like(rows).bool())
        enough = good(answers)
        if count and bool(enough.any()):
            found = (count, float(cost.sum(1)[enough].min()))
            best = found if best is None else min(best, found)
    return best


@torch.no_grad()
@pytest.mark.parametrize("task", [Classification(2), Classification(3), Regression(mean=5.0, std=2.0)])
def test_numbers_change_as_little_as_on_a_fine_grid(task):
    model = number_model(task)
    x = torch.randn(8, 6, generator=torch.Generator().manual_seed(5)).double()
    before = model(x)
    some = 0
    for i in range(len(x)):
        if task.kind == "regression":
            bound = float(before[i, 0]) + (1.5 if i % 2 else -1.5)
            asked = {"above": bound} if i % 2 else {"below": bound}
            good = (lambda y, b=bound: y[:, 0] >= b) if i % 2 else (lambda y, b=bound: y[:, 0] <= b)
        else:
            asked, own = {}, int(before[i].argmax())
            good = lambda y, own=own: y.argmax(1) != own  # noqa: E731
        (found,) = model.counterfactual(x[i : i + 1], max_changes=3, **asked)
        expected = least_by_grid(model, x[i : i + 1], good)
        if expected is None:
            continue  # what lies between two points of the grid may still be found
        some += 1
        assert found.target is not None
        assert len(found.changes) <= expected[0]
        if len(found.changes) == expected[0]:
            assert found.cost <= expected[1] + 1e-6
            assert found.cost >= expected[1] - 2 * (8 / 159 / 4) - 1e-6, "two steps of the grid"
        values = {u: s for change in found.changes for u, s in change.value.items()}
        assert bool(good(model.intervene(x[i : i + 1], values))[0]), "asked of the model"
        for change in found.changes:
            if change.name != "a":
                u = model.units.names.index(change.name)
                assert float(change.to.replace("−", "-")) == pytest.approx(change.value[u], rel=1e-6), "as it is said"
        text = " ".join(found.sentences(["no", "yes", "both"]))
        assert ("The prediction is" in text) == (task.kind == "regression")
    assert some >= 4


@torch.no_grad()
def test_a_table_that_predicts_a_number():
    rng = np.random.default_rng(0)
    rows = 300
    table = {"age": rng.integers(18, 80, rows).astype(float), "color": rng.choice(["red", "blue"], rows)}
    y = 0.1 * table["age"] + 3.0 * (table["color"] == "red") + rng.normal(0, 0.2, rows)
    data = {k: v.tolist() for k, v in table.items()} | {"y": y.round(3).tolist()}
    inputs = TableInputs.fit(data, target="y", encoding="values")
    reading = inputs.read(data)
    model = create_model("additive", num_classes=1, input_shape=[2]).eval()
    model.inputs, model.task = inputs, Regression(mean=float(y.mean()), std=float(y.std()))
    model.fit_tables([Batch(reading.x, reading.y, torch.arange(rows))], max_pairs=0, inner_splits=2, max_bins=16)
    x, some = reading.x[:8], 0
    for i, now in enumerate(model(x)[:, 0].tolist()):
        (found,) = model.counterfactual(x[i : i + 1], above=now + 1.0)
        if found.target is None:
            continue
        some += 1
        assert float(found.logits[0]) >= now + 1.0
        choices = choices_of(model, x[i : i + 1])[0]
        least = [
            float(cost)
            for slot in choices.slots
            for delta, cost in zip(slot.delta, slot.cost, strict=True)
            if delta[0] >= 1.0
        ]
        assert (len(found.changes) == 1) == bool(least)
        if least:
            assert found.cost == pytest.approx(min(least))
    assert some >= 2
    (there,) = model.counterfactual(x[:1], above=-1000.0)
    assert there.changes == ()
    assert "as it is" in there.sentences([])[1]


def test_a_program_says_which_value_would_change_the_answer():
    import zoo

    model = zoo.load("transformer_program-hist")
    data = zoo.create_data("rasp", task="hist")
    x = data.samples("test", [1]).x
    names = data.class_names
    (found,) = model.counterfactual(x, target=names.index("3"))
    assert [(c.name, c.now, c.to) for c in found.changes] == [("count_1_2", "2", "3")]
    assert "“3” if count_1_2 were “3” instead of “2”" in found.sentences(names)[1]
