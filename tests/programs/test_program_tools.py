"""Simplification, pruning, search, traces, verification, and the text of exported files."""

import random
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from example_programs import flip, hist, random_model, token

from zoo.programs.codegen.conditions import condition
from zoo.programs.codegen.formulas import Formula, best_formula
from zoo.programs.codegen.layout import literal
from zoo.programs.codegen.printer import print_program
from zoo.programs.ir.domains import Domain
from zoo.programs.ir.interpreter import answer, logits, run
from zoo.programs.ir.nodes import Count, Input, Select, Table
from zoo.programs.ir.program import Program
from zoo.programs.ir.reachability import coverage, reachable
from zoo.programs.ir.trace import class_sums, trace
from zoo.programs.ir.verification import check_all_inputs, check_random_inputs
from zoo.programs.label_positions import LabeledPositions, read_rows
from zoo.programs.learn.linear_readout import fit, rounded
from zoo.programs.reduce.local_search import SearchState, loss, search
from zoo.programs.reduce.moves import moves
from zoo.programs.reduce.prune import prune
from zoo.programs.reduce.simplify import drop_dead, forget_unused, simplify


def padded():
    """Return ``hist``, and the same with a constant, a duplicate, a dead node and a table that ignores an input."""
    p = hist()
    frame, (word, count) = p.frame, p.nodes
    nodes = (
        word,
        Input("position", 5),
        count,
        Table("three", ("token", "position"), 4, (3,) * 15),
        Count("again", "token", "token", None, (0, 1, 2)),
        Select("dead", "position", "position", "token", (0, 1, 2, 3, 4)),
        Table("half", ("token", "three"), 2, (0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 1, 1)),  # at three = 3: a to 1, b to 0
    )
    weight = torch.zeros(4, 1 + 4 + 1 + 2, dtype=torch.float64)
    weight[:, :1], weight[:, 4], weight[:, 5] = p.weight / 2, 7.0, p.weight[:, 0] / 2
    weight[:, 7] = torch.tensor([0.0, 0.5, 0.0, 0.0])
    return p, Program(frame, nodes, ("count", "three", "again", "half"), p.classes, weight, p.bias)


def test_simplify_by_hand():
    plain, p = padded()
    small = simplify(p)
    assert [n.name for n in small.nodes] == ["token", "count", "half"]
    assert small.node("half") == Table("half", ("token",), 2, (1, 0, 1))
    assert small.reads == ("count", "half")
    torch.testing.assert_close(small.weight[:, :1], plain.weight)  # of both counts
    torch.testing.assert_close(small.bias, plain.bias + 7)
    for words in (["a"], list("abab")):
        assert answer(small, [words]) == answer(p, [words])


def test_a_copy_is_read_and_the_first_is_not():
    p, padded_ = padded()
    odd = replace(padded_, reads=("again",), weight=p.weight)
    small = simplify(odd)
    assert small.reads == ("count",)
    assert torch.equal(small.weight, p.weight)
    assert [n.name for n in small.nodes] == ["token", "count"]


@pytest.mark.parametrize("seed", range(0, 60, 2))
def test_simplify_changes_nothing(seed):
    *_, program, words = random_model(seed)
    if seed % 4:  # a read-out of some of the variables, as pruning leaves it
        reads = program.reads[::2]
        columns = [program.weight[:, program.columns(name)] for name in reads]
        program = replace(program, reads=reads, weight=torch.cat([program.weight[:, :0], *columns], 1))
    codes = program.frame.pad(map(program.frame.encode, words))
    positions = None if program.pooled else (codes >= 0).nonzero()
    small = simplify(program)
    torch.testing.assert_close(logits(small, codes, positions), logits(program, codes, positions), rtol=0, atol=1e-9)
    assert len(small.nodes) <= len(program.nodes)
    assert simplify(small).nodes == small.nodes
    known = reachable(program)
    for name, value in run(program, codes).items():
        assert set(value[codes >= 0].tolist()) <= known[name]


def test_dead_nodes_and_unused_rows():
    p = flip()
    alone = replace(p, reads=(), weight=p.weight[:, :0])
    assert [n.name for n in drop_dead(alone).nodes] == ["token"]
    codes = p.frame.pad([[0, 1, 0, 0, 0], [0, 1, 1, 0, 0]])
    assert coverage(p, codes)["other"].tolist() == [2] * 5
    assert coverage(p, codes)["upper"].tolist() == [5, 2, 2, 1]  # (other, token): seven 0 0.. counted by hand
    short = forget_unused(p, p.frame.pad([[0, 0, 0]]))
    assert short.node("other").wanted == (4, 3, 2, 4, 4)
    assert short.node("upper").entries == (0, 0, 0, 0)


def labeled_by(program, count=400, seed=0):
    g = torch.Generator().manual_seed(seed)
    words = [
        [program.frame.tokens[i] for i in torch.randint(0, 2, (int(n),), generator=g)]
        for n in torch.randint(1, program.frame.room + 1, (count,), generator=g)
    ]
    codes = program.frame.pad(map(program.frame.encode, words))
    start = len(program.frame.before)
    positions = torch.tensor([(i, start + p) for i, w in enumerate(words) for p in range(len(w))])
    y = logits(program, codes, positions).argmax(1)
    return LabeledPositions(codes, positions, y)


def test_prune_finds_what_matters():
    plain, p = padded()
    given = labeled_by(plain)
    noisy = replace(p, weight=p.weight + 0.01)
    done = prune(noisy, given, labeled_by(plain, seed=1), cost=0.0)
    assert [n.name for n in done.program.nodes] == ["token", "count"]
    assert done.accuracy[1] == 1.0
    assert set(done.dropped) == {"half"}
    assert done.variables[0] > done.variables[1] == 2


def test_labels_are_divided_by_sequence():
    given = labeled_by(hist(), count=10)
    one, rest = given.sample(4), given.split_every(5)
    assert len(one.codes) == 4
    assert len(rest[1].codes) == 2
    assert len(rest[0].y) + len(rest[1].y) == len(given.y)
    assert all(q.accuracy(hist()) == 1.0 for q in (one, *rest))


def test_rows_of_a_batch():
    frame = hist().frame
    x = torch.tensor([[1, 2, 0, 1, -1, -1], [2, 2, 0, 1, -1, -1], [1, 2, 1, -1, -1, -1]])
    codes, positions = read_rows(frame, x, pooled=False)
    assert codes.tolist() == [[2, 0, 1, -1, -1], [2, 1, -1, -1, -1]]
    assert positions.tolist() == [[0, 1], [0, 2], [1, 1]]
    assert read_rows(frame, x[:, 1:], pooled=True)[1].tolist() == [[0, 0], [0, 0], [1, 0]]
    for bad, pooled, reason in ((x, True, "pooled program"), (x[:, 1:], False, "position of the label in front")):
        with pytest.raises(ValueError, match=reason):
            read_rows(frame, bad, pooled=pooled)
    x[2, 0] = 2
    with pytest.raises(ValueError, match="expected positions inside their sequences"):
        read_rows(frame, x, pooled=False)


def test_the_read_out_is_the_optimum():
    g = torch.Generator().manual_seed(0)
    x = torch.randint(0, 2, (300, 4), generator=g).double()
    y = torch.randint(0, 3, (300,), generator=g)
    weight, bias = fit(x, y, torch.zeros(3, 4, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), l2=1e-2)
    w, b = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    spread = torch.unique(torch.cat([x, y[:, None]], 1), dim=0)[:, :4].std(0, correction=0)
    (F.cross_entropy(x @ w.T + b, y) + 1e-2 * (w * spread).square().sum() / 2).backward()
    assert float(w.grad.abs().max()) < 1e-6
    assert float(b.grad.abs().max()) < 1e-6
    near, base = rounded(weight, bias, 6)
    assert torch.equal(near * 64, (near * 64).round())
    assert float((near - weight + weight.mean(0)).abs().max()) <= 1 / 128
    assert float((base - bias + bias.mean()).abs().max()) <= 1 / 128


def test_search_repairs_a_program():
    right = flip()
    given = labeled_by(right)
    wrong = Select("other", "position", "position", "token", (4, 3, 2, 2, 0))
    broken = replace(right, nodes=(right.nodes[0], right.nodes[1], wrong, right.nodes[3]))
    assert given.accuracy(broken) < 0.99
    mended = search(broken, given, refit=lambda p, q: p, tries=500)
    assert given.accuracy(mended) == 1.0
    assert mended.node("other").wanted[3] == 1


def test_trace_adds_up():
    values = trace(hist(), list("aba"))
    assert values.tokens == ["<s>", "a", "b", "a"]
    assert values.variables["count"] == ["1", "2", "1", "2"]
    assert values.sources["count"][1] == [1, 3]
    assert values.answers == ["2", "1", "2"]
    torch.testing.assert_close(values.contribution.sum(2) + values.bias, values.logits)
    codes = hist().frame.pad([hist().frame.encode(list("aba"))])
    rows = class_sums(hist(), codes, torch.tensor([[0, 1], [0, 2]]))
    assert rows[0] == [("count", [4.0, 8.0, 12.0, 16.0]), ("always", [-1.0, -4.0, -9.0, -16.0]), ("sum", [3, 4, 3, 0])]
    assert rows[1][-1] == ("sum", values.logits[1].tolist())


def test_verify():
    count = lambda words: [str(words.count(w)) for w in words]  # noqa: E731
    verdict = check_all_inputs(hist(), count, "ab", length=4)
    assert (verdict.checked, verdict.proven, verdict.counterexample) == (2 + 4 + 8 + 16, 4, None)
    wrong = lambda words: ["4"] * len(words) if words[:2] == ["a", "a"] and len(words) > 2 else count(words)  # noqa: E731
    result = check_random_inputs(hist(), wrong, "ab", tries=200).counterexample
    assert len(result.words) == 3
    assert result.words[:2] == ["a", "a"]
    verdict = check_all_inputs(hist(), wrong, "ab", length=4)
    assert verdict.proven == 2
    assert verdict.counterexample.words == ["a", "a", "a"]
    assert check_all_inputs(hist(), lambda words: [None] * len(words), "ab", length=2).counterexample is None
    with pytest.raises(ValueError, match="length is 5; expected 1 to 4"):
        check_all_inputs(hist(), count, "ab", length=5)


def test_the_text_of_a_file():
    text = print_program(hist(), name="hist", about=["A line."], codes=hist().frame.pad([[2, 0, 0, 1]]))
    assert len(text.splitlines()) <= 40
    assert all(len(line) <= 120 for line in text.splitlines())
    assert "A line." in text
    assert "count_where(token, token)" in text
    assert "copy_from([4 - x for x in position], position, token)" in print_program(flip(), name="flip")


def test_conditions():
    ints, names = Domain(8, False), Domain(3, False, ("a", "b", "c"))
    every = range(8)
    assert condition("x", [3], every, ints) == "x == 3"
    assert condition("x", [5, 6, 7], every, ints) == "x >= 5"
    assert condition("x", [0, 1], every, ints) == "x <= 1"
    assert condition("x", [2, 3, 4], every, ints) == "2 <= x <= 4"
    assert condition("x", [1, 5], every, ints) == "x in {1, 5}"
    assert condition("x", [0, 1, 2, 4, 5, 6, 7], every, ints) == "x != 3"
    assert condition("x", every, every, ints) == ""
    assert condition("x", [0, 2], range(3), names) == "x != 'b'"
    assert literal(names, 1) == "'b'"
    assert token(hist().frame).values == ("a", "b", "<s>")


def test_formulas():
    ints, names = Domain(5, False), Domain(3, False, ("a", "b", "0"))
    shifted = {0: 1, 1: 2, 2: 3, 3: 4, 4: -1}
    assert best_formula(ints, ints, shifted) == (Formula(1, 1), shifted)
    assert Formula(1, 1).source("x") == "x + 1"
    assert best_formula(ints, ints, {0: 4, 1: 3, 2: 0, 4: 0})[0].source("x") == "4 - x"
    assert best_formula(ints, ints, {0: -1, 2: 0, 3: 1})[0].source("x") == "x - 2"
    assert best_formula(names, names, {0: 0, 1: 1, 2: 0}) == (Formula(), {0: 0, 1: 1, 2: 2})
    assert best_formula(names, ints, {0: 0, 2: 3}) == (Formula(), {0: -1, 2: -1}), "a word is not a number"


def test_nearly_a_formula():
    """An exception to a formula is a branch; pruning removes it where it makes no difference."""
    p = hist()
    odd = replace(p, nodes=(p.nodes[0], replace(p.nodes[1], wanted=(0, 1, 1))))
    text = print_program(odd, name="odd")
    assert "if token == 'a'" in text, "two of three rows are not a formula yet"
    done = prune(odd, labeled_by(p), labeled_by(p, seed=1), cost=0.0)
    assert done.program.node("count").wanted == (0, 1, 2)
    right = flip()
    wanted = (4, 3, 2, 2, 0)
    odd = replace(right, nodes=(*right.nodes[:2], replace(right.nodes[2], wanted=wanted), right.nodes[3]))
    text = print_program(odd, name="odd")
    assert "if position == 3:\n        return 2" in text
    assert "return 4 - position" in text
    space = {"__name__": "odd"}
    exec(text, space)
    assert space["run"](list("abbab")) == answer(odd, [list("abbab")])[0]


@pytest.mark.parametrize("seed", [0, 11, 12, 24, 26])
def test_incremental_search_equals_a_full_run(seed):
    """Variables computed again after a change give the logits of the changed program run from the start."""
    *_, program, words = random_model(seed)
    given = labels_of(program, words)
    state, kept = SearchState(program, given), 0
    for move in moves(program, given, random.Random(0))[:300]:
        kept += state.keep_if_better(move)
    assert kept > 3
    now = state.program()
    torch.testing.assert_close(state.logits, given.features(now) @ now.weight.T + now.bias)
    assert loss(now, given) == pytest.approx(state.loss)
    assert state.loss < loss(program, given)


def labels_of(program, words):
    codes = program.frame.pad(map(program.frame.encode, words))
    positions = None if program.pooled else (codes >= 0).nonzero()
    y = torch.randint(0, len(program.classes), (len(codes if positions is None else positions),))
    return LabeledPositions(codes, positions, y)
