"""Even odds of a scoring card in a page: the answer through the controls is that of the model."""

import pytest
import torch
from browser import Browser, find
from tied_card import ROWS, TOTALS, card, expected_class, inputs, threshold_at

from zoo.evaluation.page.controls import recomputation
from zoo.reporting.context import PageContext
from zoo.reporting.page import page


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.skipif(find() is None, reason="no Chromium here")
@pytest.mark.parametrize("total", [None, 2])
def test_the_page_answers_ties_as_the_model_does(total, tmp_path):
    """In headless Chromium, through the controls of the columns."""
    model = card(threshold=None if total is None else threshold_at(total))
    x = inputs(model, ROWS[:1])
    explanation = model.explain(x)
    what = recomputation(model, x, [explanation], checkpoint="card", inputs=["0"])
    names = [control.name for control in what.controls[0]]
    context = PageContext("T", [explanation], model.class_names, task=model.task, recomputation=what)
    file = page(tmp_path / "page.html", context)
    decided = set()
    with Browser() as opened:
        opened.open(file)
        for row, points in zip(ROWS, TOTALS, strict=True):
            if points != (total or 0):
                continue
            for place, name in enumerate(names):
                opened.set(f"#what-if-1-{place}", row[name])
            text = opened.run("document.querySelector('[data-what-if=\"1\"] .what-if-answer').textContent")
            answer = int(model.task.answer(model(inputs(model, [row]))).prediction)
            assert text.startswith(f"“{model.class_names[answer]}”"), (row, text)
            decided.add(answer)
    assert decided == {expected_class(total or 0, total)}
