"""Optimal trees: paths and sums against a walk through the tree, the search against every small tree, mixed files."""

import csv
import itertools
import sys

import numpy as np
import pytest
import torch
from models.test_mixed_tables import mixed

import zoo
from zoo.batch import Batch
from zoo.cli import main
from zoo.inputs.table import TableInputs
from zoo.layers.scoring import candidate_rules
from zoo.layers.scoring.tree_search import RuleTree, optimal_tree

N = 120
SEARCH = "gosdt is not installed (extra: trees)"


def grown(true, y, depth, g):
    """A tree of random rules with its counts, and the nested form that a walk needs."""
    rule, child, rows = [], [], []

    def grow(mask, level, free):
        place = len(rule)
        rule.append(-1)
        child.append([place, place])
        rows.append(np.bincount(y[mask], minlength=2))
        k = int(g.choice(free))
        if level and (place == 0 or g.random() < 0.8):
            left = [other for other in free if other != k]
            no = grow(mask & ~true[:, k], level - 1, left)
            yes = grow(mask & true[:, k], level - 1, left)
            rule[place], child[place] = k, [no, yes]
        return place

    grow(np.ones(len(y), bool), depth, list(range(true.shape[1])))
    return RuleTree(np.array(rule), np.array(child), 0.1, 0.05), np.array(rows)


@pytest.fixture(scope="module")
def tree():
    rows = mixed(200)
    inputs = TableInputs.fit(rows, target="state", encoding="values")
    batch = inputs.read(rows)
    model = zoo.create_model("optimal_tree", num_classes=2, input_shape=[4]).eval()
    model.inputs = inputs
    bins, rules, true = candidate_rules(*model.columns.cells(batch.x.double().numpy()), np.ones(200), cuts=4)
    random, counts = grown(true, batch.y.numpy(), 4, np.random.default_rng(3))
    model.set_tree(random, bins, rules, counts)
    return model, batch, random, counts, true


@torch.no_grad()
def test_path_and_sum_against_a_walk(tree):
    model, batch, random, counts, true = tree
    explanation = model.explain(batch.x)
    used = sorted(set(random.rule[random.rule >= 0].tolist()))
    shares = (counts + 1) / (counts + 1).sum(1, keepdims=True)
    assert len(model.units) == len(used) > 3
    paths = model.decision_paths(batch.x)
    for i in range(len(batch.x)):
        node, target = 0, int(explanation.target[i])
        added = np.zeros(len(used))
        steps = 0
        while random.rule[node] >= 0:
            unit = used.index(random.rule[node])
            following = random.child[node][int(true[i, random.rule[node]])]
            added[unit] += np.log(shares[following][target] / shares[node][target])
            assert paths[i].steps[steps].unit == unit
            node, steps = following, steps + 1
        np.testing.assert_allclose(explanation.logits[i].exp(), shares[node], atol=1e-12)
        np.testing.assert_allclose(explanation.contribution[i], added, atol=1e-12)
        assert len(paths[i].steps) == steps
        assert paths[i].probabilities == pytest.approx(shares[node].tolist())
        total = float(explanation.contribution[i].sum() + explanation.base[i])
        assert total == pytest.approx(float(explanation.logits[i, target]), abs=1e-12)
    reached = random.reached(true)
    assert (reached[:, random.rule < 0].sum(1) == 1).all()


@torch.no_grad()
def test_answers_can_be_set_and_weights_travel(tree, tmp_path):
    model, batch, random, *_ = tree
    unit = int(model.node_unit[0])
    forced = model.intervene(batch.x, {unit: 1.0})
    yes = model.encode(batch.x)[:, unit] == 1
    torch.testing.assert_close(forced[yes], model(batch.x)[yes])
    assert not torch.equal(forced[~yes], model(batch.x)[~yes])
    other = zoo.create_model("optimal_tree", num_classes=2, input_shape=[4]).eval()
    other.load_state_dict(model.state_dict())
    other.inputs = model.inputs
    assert torch.equal(other(batch.x), model(batch.x))
    assert list(other.units.names) == list(model.units.names)
    twice = RuleTree(np.array([0, -1, 0, -1, -1]), np.array([[1, 2], [1, 1], [3, 4], [3, 3], [4, 4]]), 0.1, 0.1)
    bins, rules, _ = candidate_rules(*model.columns.cells(batch.x.double().numpy()), np.ones(200), cuts=4)
    with pytest.raises(ValueError, match="asks rule 0 twice on a path"):
        other.set_tree(twice, bins, rules, np.ones((5, 2)))
    words = {name.partition(": ")[2] for name in model.units.names}
    assert any("or more" in word for word in words)


def every_tree(true, y, penalty, depth):
    """The lowest objective of all trees, by trying every rule at every node."""
    counts = np.bincount(y, minlength=3)
    best = (len(y) - counts.max()) / N + penalty
    if depth == 0:
        return best
    for k in range(true.shape[1]):
        mask = true[:, k]
        if 0 < mask.sum() < len(y):
            parts = (every_tree(true[m], y[m], penalty, depth - 1) for m in (mask, ~mask))
            best = min(best, sum(parts))
    return best


@pytest.mark.parametrize(("depth", "penalty"), [(1, 0.02), (2, 0.02), (3, 0.01), (2, 0.2)])
def test_the_search_against_every_tree(depth, penalty):
    pytest.importorskip("gosdt", reason=SEARCH)
    g = np.random.default_rng(depth)
    true = g.random((N, 5)) < 0.5
    y = np.where(true[:, 0] & true[:, 1], 2, (~true[:, 0] & true[:, 2]).astype(int))
    y[g.random(N) < 0.1] = 1
    found = optimal_tree(true, y, penalty=penalty, max_depth=depth, seconds=60)
    assert found.objective == pytest.approx(every_tree(true, y, penalty, depth), abs=1e-6)
    assert found.objective - 1e-6 <= found.bound <= found.objective
    again = optimal_tree(true, y, penalty=penalty, max_depth=depth, seconds=60)
    assert np.array_equal(found.rule, again.rule)
    assert np.array_equal(found.child, again.child)


def test_command_line_on_a_mixed_file(tmp_path, monkeypatch, capsys):
    pytest.importorskip("gosdt", reason=SEARCH)
    monkeypatch.chdir(tmp_path)
    rows = mixed(200)
    with open("rows.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(rows)
        writer.writerows(["" if v is None else v for v in row] for row in zip(*rows.values(), strict=True))
    given = ["data.file=rows.csv", "data.target=state", "phases.tree.then.fit_tree.max_depth=3"]
    assert not main(["train", "optimal_tree/table", *given, "--out", "run"])
    assert "certificate: objective" in capsys.readouterr().out
    model = zoo.load("run")
    assert len(model.units) > 1
    assert not main(["explain", "run", "age=61,town=v,smokes=?,day=2024-03-11", "--out", "page"])
    html = next((tmp_path / "page").glob("*.html")).read_text()
    assert "Path through the tree" in html
    assert "similarity" not in html.partition("Path through the tree")[2].partition("</figure>")[0]


def test_wrong_arguments():
    model = zoo.create_model("optimal_tree", num_classes=2, input_shape=[1])
    batch = Batch(torch.arange(60.0)[:, None], (torch.arange(60) > 30).long(), torch.arange(60))
    with pytest.raises(ValueError, match="penalty is 0, max_depth 4, min_share"):
        model.fit_tree([batch], penalty=0)
    weighted = Batch(batch.x, batch.y, batch.index, weight=torch.arange(60.0) + 1)
    with pytest.raises(ValueError, match="does not know"):
        model.fit_tree([weighted])
    with pytest.raises(ValueError, match="num_classes is 1"):
        zoo.create_model("optimal_tree", num_classes=1, input_shape=[1])


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "gosdt", None)
    rules = np.array(list(itertools.product([True, False], repeat=2)))
    with pytest.raises(ValueError, match=r"pip install 'zoo-interpretable\[trees\]'"):
        optimal_tree(rules, np.array([0, 1, 1, 0]), penalty=0.1, max_depth=2, seconds=None)
