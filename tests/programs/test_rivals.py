"""Every restart's program, kept and judged."""

import pytest
import torch
from program_worlds import hist

import zoo
from zoo.programs.label_positions import Questions
from zoo.programs.learn.restarts import Rival, lottery, pack, unpack
from zoo.programs.reduce.shorten import lines


def test_kept_as_bytes():
    p = hist()
    code = pack([Rival(p, 0.5, (0.4, 0.6)), Rival(p, 0.25, (-1.0, -1.0))])
    assert code.dtype == torch.uint8
    one, two = unpack(code)
    assert (one.program, one.val, one.soft, two.val) == (p, 0.5, (0.4, 0.6), 0.25)
    assert torch.equal(one.program.weight.double(), p.weight.double())
    assert unpack(code[:0]) == []


def test_the_chosen_one_is_that_of_validation():
    """The better program on the questions asked is not the one that validation preferred."""
    good = hist()
    bad = type(good)(good.frame, good.nodes, good.reads, good.classes, 0 * good.weight, -torch.arange(4.0))
    codes = good.frame.pad([[2, 0, 0, 1], [2, 1]])
    given = Questions(codes, torch.tensor([[0, 1], [0, 2], [0, 3], [1, 1]]), torch.tensor([1, 1, 0, 0]))
    told = lottery([Rival(good, 0.5, (0.9, 0.8)), Rival(bad, 0.75, (0.75, 1.0))], given)
    assert told["raw program of restart 1"] == told["best of raw programs"] == 1
    assert told["raw program of restart 2"] == told["raw program chosen"] == 0.5
    assert told["median of raw programs"] == 0.75
    assert told["soft less hard"] == pytest.approx(0.25)
    assert (told["variables of the raw program"], told["lines of the raw program"]) == (len(bad.nodes), lines(bad))
    assert lottery([], given) == {}


def test_a_checkpoint_from_before_is_read():
    model = zoo.load("transformer_program-hist")
    state = {k: v for k, v in model.state_dict().items() if k not in ("soft", "rivals")}
    again = type(model)(**{k: v for k, v in model.config["model"].items() if k != "name"})
    again.load_state_dict(state)
    assert again.program == model.program
    assert unpack(again.rivals) == []
