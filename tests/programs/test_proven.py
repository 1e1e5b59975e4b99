"""The shipped programs are right on every input up to a length, not only on the test split."""

from itertools import product

import pytest

import zoo
from zoo.data.sequences.rasp import ANSWERS
from zoo.programs.ir.interpreter import answer
from zoo.programs.ir.verification import exhaust


@pytest.mark.parametrize(("task", "length", "inputs"), [("hist", 5, 9330), ("double_hist", 5, 9330)])
def test_every_input(task, length, inputs):
    model = zoo.load(f"transformer_program-{task}")
    words = [t for t in model.frame.tokens if t.isdigit()]
    told = exhaust(model.program, ANSWERS[task], words, length=length)
    assert (told.checked, told.proven, told.counterexample) == (inputs, length, None)


def test_what_no_training_sequence_showed():
    """Sort errs on 12 of the 19 530 inputs it takes: six of nothing but 4s, six of five 1s and a 2."""
    program = zoo.load("transformer_program-sort").program
    wrong = []
    for n in range(1, 7):
        words = [list(w) for w in product("01234", repeat=n)]
        wrong += [w for w, said in zip(words, answer(program, words), strict=True) if said != ANSWERS["sort"](w)]
    assert len(wrong) == 12
    assert exhaust(program, ANSWERS["sort"], "01234", length=6).counterexample.words == ["4"]


def test_a_class_that_training_never_had():
    """Seven times the same token: its count has no class, so the program must be wrong, and the search says where."""
    model = zoo.load("transformer_program-hist")
    told = exhaust(model.program, ANSWERS["hist"], "0", length=7)
    assert told.proven == 6
    assert told.counterexample.words == ["0"] * 7
    assert "7" not in model.classes
