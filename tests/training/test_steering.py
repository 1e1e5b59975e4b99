"""Codes of a topic: marks, counts and search against loops over letters and positions; what the figures are."""

import math
import re

import pytest
import torch

from zoo import create_model
from zoo.data import create_data
from zoo.evaluation.units import code_search
from zoo.evaluation.units.code_search import Steered, likely, marked, measure, search, share, topic

TEXT = "".join(f"the {'dog' if i % 3 else 'cat'} ran {'home' if i % 2 else 'away'}. " for i in range(300))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    file = tmp_path_factory.mktemp("text") / "some.txt"
    file.write_text(TEXT)
    yield create_data("text", file=str(file), context=20, batch_size=8)
    patch.undo()


@pytest.fixture(scope="module")
def model(data):
    torch.manual_seed(0)
    args = {"num_classes": data.num_classes, "input_shape": [20], "width": 16, "heads": 2, "depth": 2, "hidden": 24}
    made = create_model("codebook_transformer", **args, codes=8, k=2, sites=["mix", "mlp"]).eval()
    with torch.no_grad():
        made.decoder.head.weight.normal_(std=0.5)
    return made


@pytest.mark.parametrize("pattern", ["dog", r"og ra", r"\bran\b", "z", "t"])
def test_marked(pattern):
    """Tokens of several letters: marked if one of their letters is of a match."""
    g, texts = torch.Generator().manual_seed(0), []
    for _ in range(5):
        text, tokens = TEXT[:60], []
        while len(tokens) < 15:
            n = int(torch.randint(1, 5, (), generator=g))
            tokens.append(text[:n])
            text = text[n:]
        texts.append(tokens)
    result = marked(texts, re.compile(pattern))
    for row, tokens in enumerate(texts):
        whole, at = "".join(tokens), 0
        letters = {i for m in re.finditer(pattern, whole) for i in range(m.start(), m.end())}
        for i, token in enumerate(tokens):
            assert result[row, i] == any(at + j in letters for j in range(len(token)))
            at += len(token)


@pytest.mark.parametrize("most", [1000, 2])
def test_measure(model, data, most, monkeypatch):
    """By a loop over texts; where not all are read, those that are stand for their kind."""
    monkeypatch.setattr(code_search, "TEXTS", most)
    windows, g = data.windows("val")[:9], torch.Generator().manual_seed(0)
    marks = (torch.rand(9, 20, generator=g) < 0.3) & (torch.arange(9) % 2 == 0)[:, None]
    result = measure(model, windows[:, :-1], marks)
    weight = torch.ones(9) if most == 1000 else torch.tensor([5 / 2, 2, 0, 0, 0, 2, 5 / 2, 0, 0])
    fired, hits, total = torch.zeros(len(model.units)), torch.zeros(len(model.units)), 0.0
    for row, w in enumerate(weight.tolist()):
        on = model.activity(windows[row : row + 1, :-1])[0] > 0
        fired, hits = fired + w * on.sum(0), hits + w * (on & marks[row, :, None]).sum(0)
        total += w * int(marks[row].sum())
    torch.testing.assert_close(result[0].float(), fired)
    torch.testing.assert_close(result[1].float(), hits)
    assert result[2] == pytest.approx(total)


def test_search(model, data):
    """The best of all codes by a count over every position."""
    of = topic("dog")
    train, val = search(model, data, of, count=5)
    assert [one.unit for one in train] == [one.unit for one in val]
    for split, result in (("train", train), ("val", val)):
        windows = data.windows(split)
        on, follows = model.activity(windows[:, :-1]) > 0, torch.zeros(len(windows), 20, dtype=torch.bool)
        for row, text in enumerate("".join(t) for t in data.token_texts(windows)):
            for m in re.finditer("dog", text):
                follows[row, max(0, m.start() - 1) : m.end() - 1] = True
        for one in result:
            assert one.fired == int(on[:, :, one.unit].sum())
            assert one.recall == int((on[:, :, one.unit] & follows).sum()) / int(follows.sum())
            assert one.precision == int((on[:, :, one.unit] & follows).sum()) / one.fired
        if split == "train":
            hits = (on & follows[:, :, None]).sum((0, 1))
            rank = torch.where(hits > 0.01 * follows.sum(), hits / (on.sum((0, 1)) + 2), -1)
            assert train[0].unit == int(rank.argmax())
    every = search(model, data, of, count=1000)[0]
    assert 5 < len(every) == int((rank > 0).sum())


@torch.no_grad()
def test_figures(model, data):
    overrides = {3: True, 9: False}
    x = data.read_input("the ")[None, :4].repeat(3, 1)
    new = model.steer(x, 6, overrides, seed=1)
    whole = torch.cat([x, new], 1)
    nats = [
        -float(model.decoder(row[None, :n], model.codebooks.visit())[0, -1].log_softmax(0)[row[n]])
        for row in whole
        for n in range(4, 10)
    ]
    assert likely(model, x, new) == pytest.approx(math.exp(sum(nats) / len(nats)), rel=1e-4)
    texts = ["".join(data.class_names[i] for i in row) for row in new.tolist()]
    assert share(data, new, topic("[aeiou]")) == sum(bool(set(t) & set("aeiou")) for t in texts) / 3
    windows = data.windows("test")
    plain, same, other = (
        data.nats(m, windows)[0].mean() for m in (model, Steered(model, {}), Steered(model, overrides))
    )
    assert plain == same != other
