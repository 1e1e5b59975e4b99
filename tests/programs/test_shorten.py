"""Shortening: the effect of each change, and the bound on the loss of accuracy."""

import pytest
import torch
from example_programs import LETTERS, random_model

from zoo.programs.ir.interpreter import answer, logits
from zoo.programs.ir.nodes import Count, Input, Select, Table
from zoo.programs.ir.program import Program
from zoo.programs.label_positions import LabeledPositions
from zoo.programs.reduce.changes import changes
from zoo.programs.reduce.refit import refitted
from zoo.programs.reduce.shorten import at_zero, lines, shrink
from zoo.programs.reduce.simplify import simplify
from zoo.sequence_spec import Frame


def wordy():
    """Return a verbose program that tests for the letter a: a table of four outputs, and an irrelevant variable."""
    frame = Frame(tuple(LETTERS[:4]), 4)
    token = Input("token", 4, tuple(range(4)), frame.tokens)
    nodes = (token, Select("same", "token", "token", "token", (0, 1, 2, 3)), Table("kind", ("token",), 4, (2, 0, 1, 3)))
    kind = torch.tensor([[0.0, 0.0, 3.0, 0.0], [2.0, 2.25, 0.0, 1.75]])
    noise = torch.tensor([[0.25, 0.0, 0.125, 0.0], [0.0, 0.125, 0.0, 0.25]])
    return Program(frame, nodes, ("kind", "same"), ("yes", "no"), torch.cat([kind, noise], 1), torch.zeros(2))


def labeled_by(program, count=400, seed=0):
    """Return every position of random sequences of all lengths, labeled by the program."""
    g = torch.Generator().manual_seed(seed)
    n = program.frame.length
    codes = torch.randint(0, len(program.frame.tokens), (count, n), generator=g)
    codes[torch.arange(n) >= 1 + torch.arange(count)[:, None] % n] = -1
    positions = None if program.pooled else (codes >= 0).nonzero()
    return LabeledPositions(codes, positions, logits(program, codes, positions).argmax(1))


def test_a_wordy_program():
    program, given = wordy(), labeled_by(wordy())
    short = shrink(program, *given.split_every(5), cost=0.0, l2=1e-6)
    assert lines(short) < lines(program) - 8
    assert [n.name for n in short.nodes] in (["token", "kind"], ["token"])
    assert given.accuracy(short) == 1
    assert answer(short, [["a", "b", "d"]]) == [["yes", "no", "no"]]


@pytest.mark.parametrize("seed", range(12))
def test_scores_moved_to_the_bias_are_the_same_function(seed):
    program = random_model(seed)[3]
    given = labeled_by(program)
    same = at_zero(program)
    mine, theirs = (given.features(p) @ p.weight.T + p.bias for p in (same, program))
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-9)
    assert lines(same) <= lines(program)
    assert at_zero(same).weight.equal(same.weight)


@pytest.mark.parametrize("seed", range(12))
def test_every_change_makes_a_program(seed):
    """A change can be applied alone and after any others, which may have removed its variable."""
    program = simplify(random_model(seed)[3])
    given, after = labeled_by(program, 60), program
    for many, change in enumerate(changes(program, given)):
        for tried in (change(program), change(after)):
            assert torch.isfinite(given.features(tried) @ tried.weight.T + tried.bias).all()
        if many % 7 == 0:
            after = simplify(change(after))
    assert len(after.nodes) <= len(program.nodes)


@pytest.mark.parametrize("cost", [0.0, 0.05])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_cost_is_a_bound(cost, seed):
    program = simplify(random_model(seed)[3])
    train, choose = labeled_by(program, 100).split_every(4)
    short = shrink(program, train, choose, cost=cost, l2=1e-3)
    assert lines(short) <= lines(program)
    assert choose.accuracy(short) >= 1 - cost - 1e-12


def test_units_without_weight_are_not_fitted():
    program, given = wordy(), labeled_by(wordy())
    weight = program.weight.clone()
    weight[:, 4:] = 0
    fresh = Program(program.frame, program.nodes, program.reads, program.classes, weight, program.bias)
    assert not refitted(fresh, given, 1e-6).weight[:, 4:].any()
    nothing = Program(program.frame, program.nodes, program.reads, program.classes, weight * 0, program.bias)
    assert given.accuracy(refitted(nothing, given, 1e-6)) == 1


def test_a_counter_instead_of_another():
    frame = Frame(("a", "b"), 4)
    token = Input("token", 2, (0, 1), frame.tokens)
    nodes = (token, Count("one", None, "token", None, (0,)), Count("two", "token", "token", None, (0, 0)))
    program = Program(frame, nodes, ("one", "two"), ("x", "y"), torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.zeros(2))
    given = labeled_by(program)
    result = [change(program) for change in changes(program, given)]
    merged = [p for p in result if p.reads == ("one",) and bool((p.weight[0] == 3).all())]
    assert len(merged) == 1, "the scores of both are added"
