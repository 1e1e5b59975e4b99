"""Network, interpreter and exported file compute the same function, on 200 untrained models of random sizes.

The interpreter is also compared with an oracle that loops over positions, written from the rules in
``zoo.programs.ir.program``.
"""

import random
import shlex

import pytest
import torch
from example_programs import flip, hist, random_model
from exported_files import exported

import zoo
from zoo import paths
from zoo.programs.codegen.printer import print_program
from zoo.programs.ir.interpreter import answer, key_order, logits, run
from zoo.programs.ir.nodes import Count, Input, Select, Table
from zoo.programs.ir.program import Program
from zoo.programs.learn.network import read_out
from zoo.programs.reduce.simplify import simplify
from zoo.sequence_spec import Frame

MODELS = 200


def by_rule(program, code):
    """Return every variable of one sequence of codes, computed position by position from the rules."""
    results, n = {}, len(code)
    for node in program.nodes:
        if isinstance(node, Input):
            results[node.name] = [node.table[c] for c in code] if node.table else list(range(n))
        elif isinstance(node, Table):
            values = []
            for i in range(n):
                index = 0
                for name in node.reads:
                    index = index * program.domains[name].size + results[name][i]
                values.append(node.entries[index])
            results[node.name] = values
        else:
            values = []
            for i in range(n):
                want = node.wanted[0] if node.query is None else node.wanted[results[node.query][i]]
                visible = [j for j in range(n) if not program.causal or j <= i]
                same = [j for j in visible if results[node.key][j] == want]
                if isinstance(node, Select):
                    best = sorted(same, key=lambda j: (j == i, abs(j - i), j))
                    values.append(results[node.value][best[0] if best else 0])
                else:
                    values.append(sum(1 if node.value is None else results[node.value][j] for j in same))
            results[node.name] = values
    return results


@torch.no_grad()
def test_network_interpreter_and_file_agree(tmp_path):
    jobs, expected, features = [], [], set()
    for seed in range(MODELS):
        network, weight, bias, program, words = random_model(seed)
        codes = program.frame.pad(map(program.frame.encode, words))
        real = codes >= 0
        stream, numbers = network(codes, 0.01, hard=True)
        out = read_out(weight[None], bias[None], stream, numbers)[0].unflatten(1, codes.shape)
        if program.pooled:
            theirs, mine = ((out * real).sum(2) / real.sum(1)).T, logits(program, codes)
        else:
            at = real.nonzero()
            theirs, mine = out[:, at[:, 0], at[:, 1]].T, logits(program, codes, at)
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-9, msg=lambda m, s=seed: f"model {s}: {m}")
        result = run(program, codes)
        for row in (0, 1):
            size = int(real[row].sum())
            rule = by_rule(program, codes[row, :size].tolist())
            assert {k: v[row, :size].tolist() for k, v in result.items()} == rule, f"model {seed}"
        file = tmp_path / f"m{seed}.py"
        file.write_text(print_program(simplify(program) if seed % 2 else program, name=file.stem, codes=codes))
        jobs.append((str(file), words))
        expected.append((program, words, mine))
        s = network.shape
        features |= {k for k in ("chained", "causal", "pooled", "direct", "variables") if getattr(s, k)}
        features |= {"one head"} if s.heads == 1 and s.layers else set()
        features |= {"chain"} if any(isinstance(n, Count) and n.value for n in program.nodes) else set()
    assert features == {"chained", "causal", "pooled", "direct", "variables", "one head", "chain"}
    for (program, words, mine), results in zip(expected, exported(jobs, tmp_path), strict=True):
        assert [answers for answers, _ in results] == answer(program, words)
        start = len(program.frame.before)
        rows = [s for _, s in results] if program.pooled else [s for _, scores in results for s in scores]
        if not program.pooled:
            positions = [(i, start + p) for i, w in enumerate(words) for p in range(len(w))]
            mine = logits(program, program.frame.pad(map(program.frame.encode, words)), torch.tensor(positions))
        torch.testing.assert_close(torch.tensor(rows, dtype=torch.float64), mine, rtol=0, atol=1e-9)


SHIPPED = sorted(p.parent for p in (paths.home() / "checkpoints").glob("transformer_program-*/model.safetensors"))


@torch.no_grad()
@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("folder", SHIPPED, ids=lambda p: p.name)
def test_shipped_programs_agree(folder, count, tmp_path):
    """Model, interpreter and exported file agree on random inputs of all lengths."""
    model = zoo.load(str(folder))
    program, draw = model.program, random.Random(0)
    frame = program.frame
    words = [t for t in frame.tokens if t not in frame.before + frame.after]
    inputs = [[draw.choice(words) for _ in range(1 + i % frame.room)] for i in range(count)]
    if frame.columns:  # a row has every column
        inputs = [[draw.choice(group) for group in columns(frame)] for _ in inputs]
    codes = frame.pad(map(frame.encode, inputs))
    start = len(frame.before)
    x = (
        codes
        if program.pooled
        else torch.cat(
            [
                torch.tensor([[start + p] for w in inputs for p in range(len(w))]),
                codes.repeat_interleave(torch.tensor([len(w) for w in inputs]), 0),
            ],
            1,
        )
    )
    out = model(x)
    predicted = [program.classes[c] for c in out.argmax(1).tolist()]
    file = tmp_path / "program.py"
    file.write_text(model.source(x[:100], name="program"))
    [results] = exported([(str(file), inputs)], tmp_path)
    answers = [a for a, _ in results] if program.pooled else [a for row, _ in results for a in row]
    scores = [s for _, s in results] if program.pooled else [s for _, rows in results for s in rows]
    assert answers == predicted
    torch.testing.assert_close(torch.tensor(scores), out, rtol=1e-6, atol=1e-5 if program.pooled else 0)
    by_words = answer(program, inputs)
    assert answers == (by_words if program.pooled else [a for row in by_words for a in row])


def columns(frame):
    """Return the tokens of each column of a table."""
    results = {}
    for token in frame.tokens:
        results.setdefault(token.partition("=")[0], []).append(token)
    return list(results.values())


def test_by_hand():
    assert answer(hist(), [list("abaa"), ["b"]]) == [["3", "1", "3", "3"], ["1"]]
    result = run(flip(), flip().frame.pad([[0, 1, 1], [1, 0, 0, 0, 1]]))
    # With three words, position 0 wants position 4, which does not exist: the first position is copied.
    assert result["other"][0, :3].tolist() == [0, 0, 1]
    assert result["other"][1].tolist() == [1, 0, 0, 0, 1]
    assert answer(flip(), [list("baaab")]) == [["BB", "A", "A", "A", "BB"]]


def test_the_order_of_matches():
    assert key_order(4, False).argsort(1).tolist() == [[1, 2, 3, 0], [0, 2, 3, 1], [1, 3, 0, 2], [2, 1, 0, 3]]
    assert key_order(3, True).argsort(1)[2].tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "expected 1 to 4|empty"),
        (list("ababa"), "expected 1 to 4|room for 4"),
        (["c"], "'c'"),
        (["a", "<s>"], "of .'a', 'b'.$|added to every sequence"),
    ],
)
def test_bad_input_is_refused_alike(words, reason, tmp_path):
    program = hist()
    with pytest.raises(ValueError, match=reason):
        answer(program, [words])
    file = tmp_path / "hist.py"
    file.write_text(print_program(program, name="hist"))
    [[(kind, message)]] = exported([(str(file), [words])], tmp_path)
    assert kind == "ValueError"
    with pytest.raises(ValueError, match=reason):
        raise ValueError(message)


def test_rows_of_a_table(tmp_path):
    """Rows have one word for each column, in order; the example in the docstring is such a row."""
    frame = Frame(("n=1", "n=2", "m=a b", "m=c"), 2, columns=("n", "m"))
    node = Input("token", 4, (0, 1, 2, 3), frame.tokens)
    program = Program(frame, (node,), ("token",), ("no", "yes"), torch.eye(4).double()[:2], torch.zeros(2), pooled=True)
    file = tmp_path / "rows.py"
    file.write_text(print_program(program, name="rows"))
    line = next(line for line in file.read_text().splitlines() if "Example: python rows.py" in line)
    assert shlex.split(line.partition("rows.py")[2]) == ["n=1", "m=a b"]
    good, *bad = [["n=2", "m=c"], ["m=c", "n=2"], ["n=2"], ["n=1", "n=2"]]
    [results] = exported([(str(file), [good, *bad])], tmp_path)
    assert results[0][0] == answer(program, [good])[0] == "yes"
    assert [kind for kind, _ in results[1:]] == ["ValueError"] * 3
    for words in bad:
        with pytest.raises(ValueError, match="is not a row"):
            answer(program, [words])


def test_codes_that_are_not_sequences():
    program = hist()
    for codes, reason in (
        (torch.tensor([[2, 0, -1, 0, 1]]), "continues after padding"),
        (torch.full((1, 5), -1), "sequence 0 is empty"),
        (torch.tensor([[2, 0, 3, 0, 1]]), "expected 0 to 2"),
        (torch.tensor([[2, 0]]), r"\(1, 2\); expected \(b, 5\)"),
    ):
        with pytest.raises(ValueError, match=reason):
            logits(program, codes, torch.tensor([[0, 0]]))


def test_a_program_is_stored_as_text():
    for program in (hist(), flip(), random_model(3)[3]):
        again = Program.from_json(program.to_json(), program.weight, program.bias)
        assert again == program
        assert torch.equal(again.weight, program.weight)
    with pytest.raises(ValueError, match="not a program"):
        Program.from_json("{}", torch.zeros(1, 1), torch.zeros(1))


def test_wrong_programs():
    p = hist()
    frame, (word, count) = p.frame, p.nodes
    cases = [
        ((count,), ("count",), "reads 'token', which is not the variable of an earlier node"),
        ((word, Count("count", "token", "token", "token", (0, 1, 2))), ("count",), "which is not a number"),
        ((word, count, Select("s", "token", "token", "count", (0, 1, 2))), ("count",), "which is not a category"),
        ((word, Count("count", "token", "token", None, (0, 1))), ("count",), "wants 2 keys for 3 values"),
        ((word, count, Table("t", ("token",), 2, (0, 1))), ("count",), "has 2 entries; expected 3"),
        ((word, word), ("token",), "two nodes compute 'token'"),
        ((word, count), ("cont",), "the read-out reads 'cont'"),
    ]
    for nodes, reads, reason in cases:
        with pytest.raises(ValueError, match=reason):
            Program(frame, nodes, reads, p.classes, p.weight, p.bias)
    with pytest.raises(ValueError, match=r"expected \(4, 3\)"):
        Program(frame, (word,), ("token",), p.classes, p.weight, p.bias)
    wide = Count("n2", "token", "token", "count", (0, 1, 2))
    more = Count("n3", "token", "token", "n2", (0, 1, 2))
    last = Count("n4", "token", "token", "n3", (0, 1, 2))
    p2 = Program(frame, (word, count, wide, more, last), ("count",), p.classes, p.weight, p.bias)
    assert [p2.domains[n].size for n in ("count", "n2", "n3", "n4")] == [6, 26, 126, 626]  # 5^1 to 5^4, and 0
    with pytest.raises(ValueError, match="would have .* entries; at most"):
        Program(frame, (*p2.nodes, Table("t", ("n4", "n4", "n4"), 1, (0,))), ("count",), p.classes, p.weight, p.bias)
