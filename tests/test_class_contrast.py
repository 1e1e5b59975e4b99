"""Why one class rather than another: differences from the formula, on the page and the terminal.

``test_contract`` checks the sums of every family.
"""

import pytest
import torch

import zoo
from zoo.cli import main
from zoo.explanation import Contrast

MODELS = {
    "bilinear_mlp": ({"num_classes": 4, "input_shape": [5], "width": 8}, (5,)),
    "protopnet": ({"num_classes": 3, "backbone": "resnet10t", "per_class": 2, "dim": 8}, (3, 32, 32)),
}


def built(name):
    torch.manual_seed(0)
    arguments, shape = MODELS[name]
    return zoo.create_model(name, **arguments).eval(), torch.randn(6, *shape)


@pytest.mark.parametrize("name", MODELS)
def test_units_and_base_sum_to_the_difference_of_the_logits(name):
    model, x = built(name)
    with torch.no_grad():
        contrast, logits = model.contrast(x), model(x)
    order = logits.argsort(1, descending=True)
    assert contrast.target.tolist() == order[:, 0].tolist()
    assert contrast.against.tolist() == order[:, 1].tolist()
    rows = torch.arange(6)
    expected = logits[rows, order[:, 0]] - logits[rows, order[:, 1]]
    assert contrast.is_exact
    assert torch.allclose(contrast.difference, expected)
    assert torch.allclose(contrast.contribution.sum(1) + contrast.base, expected, atol=1e-4)
    largest = contrast.contribution.abs().max(1).values
    assert torch.equal(contrast.contribution.abs().gather(1, contrast.shown)[:, 0], largest)
    frame = contrast.to_pandas()
    assert (frame["for the class"] - frame["for the other"] - frame["difference"]).abs().max() < 1e-5


def test_classes_of_choice():
    model, x = built("bilinear_mlp")
    with torch.no_grad():
        one = model.contrast(x, torch.zeros(6, dtype=torch.int64), torch.full((6,), 2))
        two = model.contrast(x, torch.full((6,), 2), torch.zeros(6, dtype=torch.int64))
        predicted = model(x).argmax(1)
        other = (predicted + 1) % 4
        why_not = model.contrast(x, other)
    assert torch.allclose(one.contribution, -two.contribution)
    assert torch.equal(why_not.against, predicted), "a class that is not the answer is compared with the answer"


def test_what_cannot_be_compared():
    model, x = built("bilinear_mlp")
    with pytest.raises(ValueError, match="input 0 is compared with its own class 1; expected another class"):
        model.contrast(x, torch.ones(6, dtype=torch.int64), torch.ones(6, dtype=torch.int64))
    with pytest.raises(ValueError, match="target has class 9 to 9; expected 0 to 3"):
        model.contrast(x, None, torch.full((6,), 9))
    number = zoo.create_model("bilinear_mlp", task="regression", input_shape=[5], width=8).eval()
    with pytest.raises(ValueError, match="the task of the model is regression; expected a classification"):
        number.contrast(x)
    with pytest.raises(ValueError, match="expected two explanations of the same inputs"):
        Contrast(model.explain(x), model.explain(x[:2]), torch.zeros(6, 1))


def test_page_and_terminal(tmp_path, capsys):
    argv = ["explain", "protopnet-digits", "12", "--out", str(tmp_path)]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "rather than " in out
    assert ", starting value " in out
    assert "of the lead of “1”" in out
    (page,) = tmp_path.glob("*.html")
    html = page.read_text()
    assert html.count("<h3>Why “1” rather than “") == 1
    assert html.index("<h3>Why “1” rather than “") < html.index("<h3>Why “1”?")
    assert "Not an exact sum" not in html
    assert main([*argv, "--against", "7"]) == 0
    assert "rather than “7”?" in page.read_text()
    assert main([*argv, "--against", "1"]) == 2
    assert "compared with its own class" in capsys.readouterr().err
    assert main([*argv, "--against", "seven"]) == 2
    assert "--against is 'seven'" in capsys.readouterr().err
