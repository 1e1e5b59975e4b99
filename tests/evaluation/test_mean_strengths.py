"""Contributions measured from mean strengths: sums stay exact, an average input adds nothing; strengths in words."""

import json
from dataclasses import replace

import pytest
import torch

import zoo
from zoo.capabilities import HasAffineHead, capability
from zoo.evaluation import examples
from zoo.evaluation.page.mean_strengths import KEY, MAX_SAMPLES, from_mean, mean_strengths
from zoo.evaluation.page.strength_words import strength_words
from zoo.reporting.page import page

MODELS = ("cbm-digits", "protopnet-digits", "bilinear_mlp-digits", "posthoc_cbm-digits", "transformer_program-hist")


@pytest.fixture(scope="module", params=MODELS)
def loaded(request):
    model = zoo.load(request.param)
    data = zoo.create_data(
        model.config["data"]["name"], **{k: v for k, v in model.config["data"].items() if k != "name"}
    )
    return model, data, data.samples("test", list(range(12)))


@torch.no_grad()
def test_the_mean_is_that_of_a_slow_loop_or_what_the_head_knows(loaded):
    model, data, batch = loaded
    mean = mean_strengths(model, batch.x, data)
    known = model.affine_head(batch.x).mean
    if known is not None:
        assert torch.equal(mean, known)
        return
    size = len(data.splits["train"])
    chosen = sorted({round(i * (size - 1) / (min(MAX_SAMPLES, size) - 1)) for i in range(min(MAX_SAMPLES, size))})
    rows = [model.explain(data.samples("train", chosen[i : i + 100]).x).strength for i in range(0, len(chosen), 100)]
    torch.testing.assert_close(
        mean, torch.cat(rows).mean(0), rtol=2e-3, atol=2e-3
    )  # rounding of a half picks a neighbor
    assert mean_strengths(model, batch.x, data, read=False) is None
    stored = mean_strengths(model, batch.x, data, {KEY: [0.5] * len(mean)}, read=False)
    assert stored.tolist() == [0.5] * len(mean)
    assert mean_strengths(model, batch.x, data, {KEY: [0.5, 0.5]}, read=False) is None, "of other units"


@torch.no_grad()
def test_sums_are_exact_and_an_average_unit_adds_nothing(loaded):
    model, data, batch = loaded
    mean = mean_strengths(model, batch.x, data)
    first, contrast = model.explain(batch.x), model.contrast(batch.x)
    (told,), told_contrast = from_mean(model, batch.x, (first,), contrast, mean)
    logit = first.logits.gather(1, first.target[:, None])[:, 0]
    torch.testing.assert_close(told.contribution.sum(1) + told.base, logit, rtol=1e-4, atol=1e-4)
    difference = told_contrast.contribution.sum(1) + told_contrast.base
    torch.testing.assert_close(difference, contrast.difference, rtol=1e-4, atol=1e-4)
    head = capability(model, HasAffineHead).affine_head(batch.x)
    for i, c in enumerate(first.target.tolist()):  # the formula, one input and unit after another
        for u in range(min(len(model.units), 20)):
            expected = float(head.weight[c, u]) * (float(first.strength[i, u]) - float(mean[u]))
            assert float(told.contribution[i, u]) == pytest.approx(expected, rel=1e-3, abs=2e-4)
    largest = told.contribution.abs().max(1).values
    torch.testing.assert_close(told.contribution.abs().gather(1, told.shown)[:, 0], largest)
    if first.where is not None:
        again = model.explain(batch.x, target=told.target, shown=told.shown).where
        assert torch.equal(told.where, again)


def test_a_concept_page_shows_absent_concepts_that_decide(tmp_path):
    model, data = zoo.load("cbm-digits"), zoo.create_data("digits")
    batch = data.samples("test", [0])
    explained = examples.explain(model, batch.x, batch)
    context = examples.page_context(model, data, explained, title="t", checkpoint="cbm-digits")
    html = page(tmp_path / "p.html", context).read_text()
    first = html[html.index("Why “9” rather than “8”?") : html.index("Why “9”?")]
    assert "account for 80 % of the lead of “9”" in first
    assert 'is_even <span class="quiet">= no (0.6 %) (average 49.6 %)</span>' in first
    assert "starting value" in first
    assert "+0.00" not in html
    assert "e-0" not in first


def test_words_of_strengths():
    model = zoo.load("transformer_program-double_hist")
    data = zoo.create_data("rasp", task="double_hist")
    x = data.samples("test", [0]).x
    explanation = model.explain(x)
    (row,) = strength_words(model, explanation, torch.full((len(model.units),), 0.25))
    assert {value is None for _, value in model.program.units} == {True, False}
    for u, (_, value) in enumerate(model.program.units):
        strength = float(explanation.strength[0, u])
        number = f"= {strength:.3g} (average 0.25)"
        assert row[u] == (number if value is None else f"{'present' if strength else 'absent'} (average 25 %)")
    assert strength_words(zoo.load("protopnet-digits"), explanation) == []


def test_a_model_without_an_affine_head_has_none():
    model, data = zoo.load("blackbox-digits"), zoo.create_data("digits")
    assert mean_strengths(model, data.samples("test", [0]).x, data) is None


def test_the_page_of_a_users_own_input_takes_the_stored_means():
    from zoo import checkpoint

    metrics = json.loads((checkpoint.find("protopnet-digits") / "metrics.json").read_text())
    model = zoo.load("protopnet-digits")
    assert len(metrics[KEY]) == len(model.units)
    data = zoo.create_data("digits")
    measured = mean_strengths(model, data.samples("test", [0]).x, data)
    torch.testing.assert_close(torch.tensor(metrics[KEY]), measured, rtol=1e-4, atol=1e-4)
    explained = replace(examples.explain(model, data.samples("test", [0]).x), inputs=("a.png",))
    folder = checkpoint.find("protopnet-digits")
    told = examples.page_context(model, data, explained, title="t", stored=folder, metrics=metrics)
    assert told.mean_strengths is not None
    assert examples.page_context(model, data, explained, title="t", stored=folder).mean_strengths is None
