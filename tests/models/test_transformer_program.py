"""Training, discretising, pruning, restarts: the family beyond the five promises."""

import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

import zoo
from zoo import checkpoint
from zoo.data import create_data
from zoo.models.transformer_program import TransformerProgram
from zoo.programs.ir.interpreter import answer, logits
from zoo.programs.learn.network import Network, read_out, temperature
from zoo.programs.learn.sizes import Sizes

SEQUENCE = {"tokens": ["a", "b", "<s>"], "length": 5, "before": ["<s>"], "classes": ["1", "2", "3", "4"]}
SMALL = {"num_classes": 4, "sequence": SEQUENCE, "heads": 1, "counters": 1, "hidden": 8}
CONFIG = """\
model: {name: transformer_program, num_classes: 4, heads: 1, counters: 2, restarts: 4, anneal: 8, hidden: 16,
        identity: 2.0}
data: {name: rasp, task: hist, vocabulary: 5, length: 5, size: 200, batch_size: 16}
phases:
  race: {epochs: 3, lr: {network: 0.05, readout: 0.05}, clip: 1.0, then: {race: {keep: 2}}}
  anneal: {epochs: 5, lr: {network: 0.05, readout: 0.05}, clip: 1.0, then: {discretise: {}}}
  mend: {then: {improve: {tries: 300}, prune: {cost: 0.01}, shrink: {cost: 0.01}}}
trainer: {accelerator: cpu}
"""


@pytest.fixture(scope="module")
def run(processes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("program")
    (folder / "tiny.yaml").write_text(CONFIG)
    assert processes.run("cli", ["train", str(folder / "tiny.yaml"), "--out", str(folder / "run")], {}) == 0
    return folder / "run"


def test_trained_to_the_end(run):
    model = zoo.load(str(run))
    data = create_data("rasp", task="hist", vocabulary=5, length=5, size=200)
    x = data.samples("test", range(len(data.splits["test"]))).x
    result = model.explain(x)
    assert float((result.target == data.splits["test"].y).float().mean()) > 0.9
    assert model.network.restarts == 0, "a checkpoint holds the program, not the network"
    assert 0 < len(model.program.nodes) <= 9
    grain = model.readout.weight * 64
    assert torch.equal(grain, grain.round())
    names = model.units.names
    for i in range(3):
        at = int(result.shown[i, 0])
        assert result.where[i, 0].any() == bool(result.strength[i, at]), names[at]
    actual = model.extra_metrics(data.loader("test"))
    assert 0.8 < actual["sequence accuracy"] <= 1
    assert actual["lines of the program"] > 20
    assert actual["best of raw programs"] >= actual["median of raw programs"] > 0.25
    assert actual["raw program chosen"] in [actual["raw program of restart 1"], actual["raw program of restart 2"]]
    assert -1 < actual["soft less hard"] < 1
    log = (run / "log.csv").read_text()
    assert "race/kept,2.0" in log
    assert "val/accuracy" in log


def test_resumed_after_the_race(run, processes, tmp_path):
    """The phases after the first, done again from what it left on disk: fewer restarts than the config builds."""
    again = tmp_path / "again"
    shutil.copytree(run, again)
    for name in ("1-anneal.safetensors", "2-mend.safetensors"):
        (again / "phases" / name).unlink()
    shutil.rmtree(again / "checkpoint")
    argv = ["train", str(run.parent / "tiny.yaml"), "--out", str(again), "--resume"]
    assert processes.run("cli", argv, {}) == 0
    old, new = (load_file(folder / "checkpoint" / "model.safetensors") for folder in (run, again))
    assert old.keys() == new.keys()
    assert [k for k in old if not torch.equal(old[k], new[k])] == []


@torch.no_grad()
def test_trained_network_is_the_program(run):
    """Every restart of the trained network, its choices hard, on 10 000 random sequences of all lengths."""
    model = TransformerProgram(**{k: v for k, v in zoo.load(str(run)).config["model"].items() if k != "name"})
    model.load_state_dict(load_file(run / "phases" / "0-race.safetensors"))
    model.double()
    g = torch.Generator().manual_seed(0)
    codes = torch.randint(0, len(model.frame.tokens), (10_000, model.frame.length), generator=g)
    size = 1 + torch.arange(len(codes)) % model.frame.length
    codes[torch.arange(model.frame.length) >= size[:, None]] = -1
    positions = (codes >= 0).nonzero()
    out = read_out(model.readout.weight, model.readout.bias, *model.network(codes, 0.01, hard=True))
    out = out.unflatten(2, codes.shape)
    assert model.network.restarts == 2
    for restart in range(2):
        model.accuracy.zero_()[restart] = 1.0
        theirs = out[restart][:, positions[:, 0], positions[:, 1]].T
        mine = logits(model.program, codes, positions)
        assert torch.equal(mine.argmax(1), theirs.argmax(1))
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-9)


def test_export(run, tmp_path, capsys, monkeypatch):
    from zoo.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["export", str(run), "--to", "program", "-o", "out/hist.py"]) == 0
    assert "hist.py" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    model = zoo.load(str(run))
    for words in ("0 1 1", "2", "2 2 2 0"):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "../out/hist.py", *words.split()], cwd="empty", capture_output=True, text=True
        )
        assert done.stdout.split() == answer(model.program, [words.split()])[0]
    for wrong in ([], ["9"], ["0"] * 5):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "../out/hist.py", *wrong], cwd="empty", capture_output=True, text=True
        )
        assert done.returncode == 1
        assert done.stderr.startswith("ValueError: ")
        assert len(done.stderr.splitlines()) == 1
        with pytest.raises(ValueError, match="empty|room|vocabulary"):
            answer(model.program, [wrong])
    assert main(["export", str(run), "-o", "out/hist.py"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["explain", str(run), "0 1 1"]) == 0


def test_checkpoints_are_strict(run, tmp_path):
    model = zoo.load(str(run))
    again = TransformerProgram(**{k: v for k, v in model.config["model"].items() if k != "name"})
    again.load_state_dict(model.state_dict())
    assert again.program == model.program
    x = torch.tensor([[1, 3, 0, 1, -1, -1]])
    assert torch.equal(again(x), model(x))
    broken = {k: v for k, v in model.state_dict().items() if k != "code"}
    with pytest.raises(RuntimeError, match="code"):
        again.load_state_dict(broken)


def test_a_program_answers_another_question(run):
    """Fine-tuning: the nodes are taken over, the read-out begins at zero for other classes and learns."""
    source = zoo.load(str(run))
    args = {k: v for k, v in source.config["model"].items() if k != "name"}
    two = {**args, "num_classes": 2, "sequence": {**args["sequence"], "classes": ["once", "often"]}}
    model = TransformerProgram(**two)
    checkpoint.graft(model, source, ["readout"])
    assert model.program.nodes == source.program.nodes
    assert model.program.classes == ("once", "often")
    assert not model.readout.weight.any()
    data = create_data("rasp", task="hist", vocabulary=5, length=5, size=200)
    batch = next(iter(data.loader("train")))
    batch = zoo.batch.Batch(batch.x, (batch.y > 0).long(), batch.index)
    before = model.loss(batch, {})["task"]
    before.backward()
    with torch.no_grad():
        model.readout.weight -= model.readout.weight.grad
    assert model.loss(batch, {})["task"] < before


@torch.no_grad()
def test_hard_network_is_the_program():
    torch.manual_seed(0)
    model = TransformerProgram(**SMALL, layers=2, tables=2, restarts=3).double().eval()
    codes = model.frame.pad([[2, 0, 1], [2, 1, 1, 0, 1]])
    stream, numbers = model.network(codes, 0.01, hard=True)
    out = read_out(model.readout.weight, model.readout.bias, stream, numbers).unflatten(2, codes.shape)
    x = torch.cat([torch.tensor([[1], [2], [4]]), codes[[0, 0, 1]]], 1)
    for leader in range(3):
        model.accuracy.zero_()[leader] = 1.0
        expected = torch.stack([out[leader, :, 0, 1], out[leader, :, 0, 2], out[leader, :, 1, 4]])
        torch.testing.assert_close(model(x), expected)


def test_restarts_do_not_mix():
    """Two restarts in one run learn what each learns alone, clipping included."""
    torch.manual_seed(0)
    both = TransformerProgram(**SMALL, restarts=2, hot=1e-9, cold=1e-9)
    codes = both.frame.pad([[2, 0, 1, 1], [2, 1]])
    parameters = [*both.network.parameters(), *both.readout.parameters()]

    def gradient(select):
        net = Network(both.network.shape, restarts=len(select))
        w, b = torch.nn.Parameter(both.readout.weight[select].detach()), both.readout.bias[select].detach()
        with torch.no_grad():
            for p, q in zip(net.parameters(), both.network.parameters(), strict=True):
                p.copy_(q[select])
        torch.manual_seed(1)
        logits = read_out(w, b, *net(codes, 1.0, hard=True))
        logits.square().mean((1, 2)).mean().backward()
        return w.grad * len(select)

    torch.testing.assert_close(gradient([0, 1])[:1], gradient([0]))
    for p in parameters:
        p.grad = torch.ones_like(p)
        p.grad[1] *= 1e-6
    both.configure_gradient_clipping(torch.optim.SGD(parameters, lr=0.1), 1.0)
    norm = torch.stack([(p.grad * 2).flatten(1).square().sum(1) for p in parameters]).sum(0).sqrt()
    assert float(norm[0]) == pytest.approx(1.0, rel=1e-4)
    assert float(norm[1]) < 0.01
    assert parameters[0].grad[1].flatten()[0] == pytest.approx(1e-6), "a small gradient is left alone"


def test_best_of_each_restart_is_kept():
    model = TransformerProgram(**SMALL, restarts=2)
    first = model.network.gates.detach().clone()
    every = [*model.network.parameters(), *model.readout.parameters()]
    model.best.keep(every, torch.tensor([True, True]))
    with torch.no_grad():
        model.network.gates.add_(1)
    model.best.keep(every, torch.tensor([False, True]))
    model.best.restore(every)
    torch.testing.assert_close(model.network.gates[0], first[0])
    torch.testing.assert_close(model.network.gates[1], first[1] + 1)
    model.accuracy.copy_(torch.tensor([0.2, 0.9]))
    before = model.program
    with pytest.raises(ValueError, match="keep is 0; expected 1 or more restarts"):
        model.race([], keep=0)
    assert model.race([], keep=1)["kept"] == 1
    assert model.network.restarts == 1
    assert model.program == before, "the leader goes on"


@torch.no_grad()
def test_loss_by_hand(monkeypatch):
    """Mean over sequences of the mean over their questions, where choices are hard: cold, and noise alike for all."""
    monkeypatch.setattr(torch, "rand_like", lambda x: torch.full_like(x, 0.5))
    torch.manual_seed(0)
    model = TransformerProgram(**SMALL, restarts=1, hot=1e-6, cold=1e-6).double()
    codes = model.frame.pad([[2, 0, 1, 1], [2, 1]])
    x = torch.cat([torch.tensor([[1], [2], [1]]), codes[[0, 0, 1]]], 1)
    y = torch.tensor([0, 3, 1])
    each = torch.nn.functional.cross_entropy(model(x), y, reduction="none")
    result = model.loss(zoo.batch.Batch(x, y, torch.arange(3)), {})["task"]
    torch.testing.assert_close(result, (each[:2].mean() + each[2]) / 2, rtol=1e-3, atol=1e-3)


def test_temperature():
    assert temperature(0, 3, 0.01) == 3
    assert temperature(1, 3, 0.01) == pytest.approx(0.01)
    assert temperature(0.5, 4, 0.01) == pytest.approx(0.2)
    assert temperature(7, 3, 0.01) == pytest.approx(0.01)


def test_trace_and_source():
    model = TransformerProgram(**SMALL).eval()
    x = torch.tensor([[1, 2, 0, 1, -1, -1], [2, 2, 0, 1, -1, -1]])
    rows = model.trace(x)
    assert rows[0][1:] == rows[1][1:]
    assert [row[0][1].index("asked") for row in rows] == [1, 2]
    assert rows[0][1] == ("token", ["<s>", "a", "b"])
    assert "def run(words):" in model.source(x, name="hist")
    program = model.program
    torch.testing.assert_close(model(x), logits(program, x[:1, 1:], torch.tensor([[0, 1], [0, 2]])))


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"sequence": None}, "the data have no token sequences"),
        ({"num_classes": 3}, "num_classes is 3; the sequences have 4 classes"),
        ({"width": 4}, "width is 4; expected 5 or more"),
        ({"layers": -1}, "layers is -1"),
        ({"restarts": 0}, "restarts is 0"),
        ({"cold": 5.0}, "cold is 5.0|cold 5.0"),
        ({"sequence": {"tokens": ["a"], "lenght": 3}, "num_classes": 2}, "lenght"),
    ],
)
def test_wrong_arguments(args, reason):
    with pytest.raises(ValueError, match=reason):
        TransformerProgram(**{**SMALL, **args})


def test_wrong_inputs():
    model = TransformerProgram(**SMALL)
    with pytest.raises(ValueError, match="expected .b, 6.*position of the label in front"):
        model(torch.zeros(2, 5))
    with pytest.raises(ValueError, match="pooled program"):
        TransformerProgram(**SMALL, pooled=True)(torch.zeros(2, 6))
    with pytest.raises(ValueError, match="expected 0 to 2"):
        model(torch.tensor([[1, 2, 0, 3, -1, -1]]))


def test_a_shape_that_cannot_be_read():
    """Chained counters over many layers count too far for a table."""
    model = TransformerProgram(
        num_classes=2,
        sequence={"tokens": ["a", "b"], "length": 16},
        layers=3,
        chained=True,
        counters=2,
        number_tables=2,
        restarts=1,
    )
    with torch.no_grad():
        model.network.number_gates.fill_(-5.0)[:, :, -1] = 5.0
        for layer, categories in enumerate((1, 3, 5)):
            model.network.number_gates[:, 6 * layer : 6 * layer + 2, categories - 1] = 9.0
    with pytest.raises(ValueError, match="entries; at most 4194304.*not chained"):
        _ = model.program
    assert Sizes(2, 16, 2, 16, layers=3, chained=True).numbers(2, after_heads=True) == 7


def test_rows_that_occur_twice(tmp_path, processes):
    """A pooled program on a table: neighbours that are alike are one sequence and as many questions."""
    rows = [("red", "foul", "no"), ("red", "none", "yes"), ("brown", "none", "yes"), ("brown", "foul", "no")]
    every = [row for row in rows for _ in range(10)]
    (tmp_path / "t.csv").write_text("colour,smell,edible\n" + "\n".join(map(",".join, every)) + "\n")
    (tmp_path / "t.yaml").write_text(
        "model: {name: transformer_program, num_classes: 2, pooled: true, heads: 1, counters: 1, restarts: 2,"
        " hidden: 4, anneal: 6}\n"
        f"data: {{name: categories, file: {tmp_path}/t.csv, target: edible, batch_size: 8}}\n"
        "phases:\n  one: {epochs: 6, lr: {network: 0.05, readout: 0.05}, then: {discretise: {}, prune: {},"
        " improve: {tries: 50}}}\n"
    )
    out = tmp_path / "run"
    assert processes.run("cli", ["train", str(tmp_path / "t.yaml"), "--out", str(out)], {}) == 0
    model, data = zoo.load(str(out)), create_data("categories", file=str(tmp_path / "t.csv"), target="edible")
    x = torch.stack([data.read_input(f"colour={c},smell={s}") for c, s, _ in rows])
    assert [model.classes[c] for c in model(x).argmax(1).tolist()] == [label for *_, label in rows]
    assert torch.equal(model(x[[0, 0, 1]]), model(x)[[0, 0, 1]])
