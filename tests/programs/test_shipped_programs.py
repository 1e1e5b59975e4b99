"""The shipped programs are correct on every input up to a length, not only on the test split."""

from itertools import product

import pytest
from exported_files import exported

import zoo
from zoo import paths
from zoo.data.sequences.rasp import ANSWERS
from zoo.inputs.texts.word_spans import word_spans
from zoo.programs.ir.interpreter import answer
from zoo.programs.ir.verification import check_all_inputs


@pytest.mark.parametrize(("task", "length", "inputs"), [("hist", 5, 9330), ("double_hist", 5, 9330)])
def test_every_input(task, length, inputs):
    model = zoo.load(f"transformer_program-{task}")
    words = [t for t in model.frame.tokens if t.isdigit()]
    verdict = check_all_inputs(model.program, ANSWERS[task], words, length=length)
    assert (verdict.checked, verdict.proven, verdict.counterexample) == (inputs, length, None)


def test_errors_outside_the_training_sequences():
    """Sort is wrong on 12 of the 19 530 inputs that it accepts: six of 4s only, six of five 1s and a 2."""
    program = zoo.load("transformer_program-sort").program
    wrong = []
    for n in range(1, 7):
        words = [list(w) for w in product("01234", repeat=n)]
        wrong += [w for w, answers in zip(words, answer(program, words), strict=True) if answers != ANSWERS["sort"](w)]
    assert len(wrong) == 12
    assert check_all_inputs(program, ANSWERS["sort"], "01234", length=6).counterexample.words == ["4"]


def test_a_class_that_training_never_had():
    """A token that occurs seven times has a count without a class: the program must be wrong there."""
    model = zoo.load("transformer_program-hist")
    verdict = check_all_inputs(model.program, ANSWERS["hist"], "0", length=7)
    assert verdict.proven == 6
    assert verdict.counterexample.words == ["0"] * 7
    assert "7" not in model.classes


def test_the_program_file_of_reviews_answers_as_its_model(tmp_path):
    """Without zoo, on all test reviews and on words that no review has; and it is the file that is exported today."""
    name = "transformer_program-generated_reviews"
    model = zoo.load(name)
    file = paths.home() / "checkpoints" / name / "program.py"
    data = zoo.create_data("sentences", set="generated_reviews", length=32)
    texts = [*data.texts("test"), "The soup was zzz , unknown and cold !"]
    words = [[text[start:end] for start, end in word_spans(text)] for text in texts]
    (answers,) = exported([(str(file), words)], tmp_path)
    prediction = model.predict(texts)
    assert [answer for answer, _ in answers] == prediction.labels
    truth = [data.class_names[y] for y in data.splits["test"].y.tolist()]
    correct = sum(label == true for label, true in zip(prediction.labels, truth, strict=False))
    assert correct / len(truth) == 0.9625
    today = model.source(None, name="program")
    assert today.split("import sys", 1)[1] == file.read_text().split("import sys", 1)[1]
