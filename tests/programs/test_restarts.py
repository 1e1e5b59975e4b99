"""Programs of all restarts: stored as bytes, and their accuracy."""

import pytest
import torch
from example_programs import hist

import zoo
from zoo.programs.label_positions import LabeledPositions
from zoo.programs.learn.restarts import Restart, pack, restart_metrics, unpack
from zoo.programs.reduce.shorten import lines


def test_stored_as_bytes():
    p = hist()
    code = pack([Restart(p, 0.5, (0.4, 0.6)), Restart(p, 0.25, (-1.0, -1.0))])
    assert code.dtype == torch.uint8
    one, two = unpack(code)
    assert (one.program, one.val, one.soft, two.val) == (p, 0.5, (0.4, 0.6), 0.25)
    assert torch.equal(one.program.weight.double(), p.weight.double())
    assert unpack(code[:0]) == []


def test_validation_data_choose():
    """The program that is better on the given labels is not the one that validation data chose."""
    good = hist()
    bad = type(good)(good.frame, good.nodes, good.reads, good.classes, 0 * good.weight, -torch.arange(4.0))
    codes = good.frame.pad([[2, 0, 0, 1], [2, 1]])
    given = LabeledPositions(codes, torch.tensor([[0, 1], [0, 2], [0, 3], [1, 1]]), torch.tensor([1, 1, 0, 0]))
    metrics = restart_metrics([Restart(good, 0.5, (0.9, 0.8)), Restart(bad, 0.75, (0.75, 1.0))], given)
    assert metrics["raw program of restart 1"] == metrics["best of raw programs"] == 1
    assert metrics["raw program of restart 2"] == metrics["raw program chosen"] == 0.5
    assert metrics["median of raw programs"] == 0.75
    assert metrics["soft less hard"] == pytest.approx(0.25)
    assert (metrics["variables of the raw program"], metrics["lines of the raw program"]) == (
        len(bad.nodes),
        lines(bad),
    )
    assert restart_metrics([], given) == {}


def test_a_checkpoint_without_restarts_is_read():
    model = zoo.load("transformer_program-hist")
    state = {k: v for k, v in model.state_dict().items() if k not in ("soft", "restart_programs")}
    again = type(model)(**{k: v for k, v in model.config["model"].items() if k != "name"})
    again.load_state_dict(state)
    assert again.program == model.program
    assert unpack(again.restart_programs) == []
