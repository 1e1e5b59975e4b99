"""Rationales: which words are kept against loops, answers that depend on the extract alone, figures of the controls."""

import math

import pytest
import torch

import zoo
from zoo.layers.text.extracts import RESOLUTION, extract, keep_words, most_passages, passages_of, words_of
from zoo.models.rationale import BINS, _places

TOKENS = ["[UNK]", *"abcdefgh"]
WORDS = {"tokens": TOKENS, "length": 9, "unknown": "[UNK]"}


def inputs(n, seed=0, length=9):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, len(TOKENS), (n, length), generator=generator)
    ends = torch.randint(0, length + 1, (n, 1), generator=generator)
    return torch.where(torch.arange(length) < ends, codes, -1)


def slow_words(row, special, joined):
    """Numbers of the words of one text, token by token."""
    numbers, word, before = [], -1, False
    for code in row:
        real = code >= 0 and not special[code]
        if real and not (joined[code] and before):
            word += 1
        numbers.append(word if real else -1)
        before = real
    return numbers


def slow_kept(scores, words, share, contiguous):
    """Which tokens of one text are kept: all runs, or all words, are compared one by one."""
    count = max(words) + 1
    if not count:
        return [False] * len(words)
    sums = [[sum(s[c] for s, w in zip(scores, words, strict=True) if w == i) for c in range(2)] for i in range(count)]
    total = [math.hypot(*one) for one in sums]
    step = max(total) * RESOLUTION or 1.0
    total = [round(one / step) for one in total]
    number = max(1, math.ceil(count * share - 1e-6))
    if contiguous:
        runs = [sum(total[i : i + number]) for i in range(count - number + 1)]
        first = max(range(len(runs)), key=lambda i: (runs[i], -i))
        chosen = set(range(first, first + number))
    else:
        chosen = set(sorted(range(count), key=lambda i: (-total[i], i))[:number])
    return [word in chosen for word in words]


@pytest.mark.parametrize("contiguous", [False, True])
@pytest.mark.parametrize("share", [0.2, 1 / 3, 0.5, 1.0])
def test_selection_against_loops(share, contiguous):
    x = inputs(60)
    generator = torch.Generator().manual_seed(1)
    special, joined = (torch.rand(len(TOKENS), generator=generator) < 0.3 for _ in range(2))
    joined &= ~special
    words = words_of(x, special, joined)
    assert words.tolist() == [slow_words(row, special.tolist(), joined.tolist()) for row in x.tolist()]
    # quarters, so that sums are exact and many are equal
    scores = torch.randint(-4, 5, (60, 9, 2), generator=generator).double() / 4
    kept = keep_words(scores, words, share, contiguous=contiguous)
    for i in range(60):
        assert kept[i].tolist() == slow_kept(scores[i].tolist(), words[i].tolist(), share, contiguous), i
    codes, order = extract(x, kept)
    for row, mask, short, place in zip(x.tolist(), kept.tolist(), codes.tolist(), order.tolist(), strict=True):
        left = [i for i, keeps in enumerate(mask) if keeps]
        assert short == [row[i] for i in left] + [-1] * (9 - len(left))
        assert place[: len(left)] == left
    for mask, passages in zip(kept.tolist(), passages_of(kept).tolist(), strict=True):
        assert passages == slow_words([0 if keeps else -1 for keeps in mask], [False], [True])
        assert max(passages) < max(1, most_passages(9, 1.0, contiguous=False))


def test_places_of_kept_words():
    words = torch.tensor([[0, 1, 2, 3, -1]])
    places = _places(torch.tensor([[True, False, False, True, False]]), words)
    expected = torch.zeros(1, BINS + 1)
    expected[0, 0], expected[0, 7], expected[0, -1] = 0.5, 0.5, 0.5
    assert torch.equal(places, expected)


def built(**options):
    torch.manual_seed(0)
    model = zoo.create_model("rationale", num_classes=3, sequence=WORDS, width=8, heads=2, share=0.4, **options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


@torch.no_grad()
def test_the_answer_depends_on_the_extract_alone(monkeypatch):
    """Words that are not selected may be any others, as long as the selection stays."""
    model, x = built(), inputs(40)
    kept = model.select(x)
    logits = model(x)
    codes, _ = extract(x, kept)
    torch.testing.assert_close(logits, model.head(model.unit_vectors(codes)), rtol=1e-5, atol=1e-5)
    others = torch.where(kept | (x < 0), x, (x + 1 + torch.arange(9)) % len(TOKENS))
    assert not torch.equal(others, x)
    monkeypatch.setattr(model, "select", lambda _: kept)
    assert torch.equal(model(others), logits)


@torch.no_grad()
def test_passages_are_where_they_are_and_add_up():
    model, x = built(), inputs(40, seed=3)
    e = model.explain(x, shown=len(model.units))
    kept = model.select(x)
    assert torch.equal(e.where.sum(1) > 0, kept)
    assert e.where.amax() == 1
    number = passages_of(kept).amax(1) + 1
    assert torch.equal(e.strength.sum(1), number.float())
    empty = (x >= 0).sum(1) == 0
    assert empty.any()
    torch.testing.assert_close(e.logits[empty], model.head.bias.expand(int(empty.sum()), -1))


def test_tokens_around_a_text_are_kept_and_are_one_unit():
    around = {**WORDS, "tokens": [*TOKENS, "<s>"], "before": ["<s>"]}
    model = zoo.create_model("rationale", num_classes=2, sequence=around, width=8, share=0.3).eval()
    x = inputs(10)
    x = torch.cat([torch.full((10, 1), len(TOKENS)), x[:, :-1]], 1)
    e = model.explain(x, shown=len(model.units))
    assert model.units.names[-1] == "tokens around the text"
    assert bool(model.select(x)[:, 0].all())
    assert bool((e.strength[:, -1] == 1).all())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rationale")
    config = {
        "model": {"name": "rationale", "width": 16, "depth": 0, "dropout": 0.0, "share": 0.2},
        "data": {"name": "sentences", "set": "generated_reviews", "length": 40, "limit": 300},
        "phases": {
            "encode": {"epochs": 6, "lr": {"encoder": 2e-2, "probe": 2e-2}},
            "fit": {"then": {"fit_rationale": {"val": True}}},
        },
        "trainer": {"accelerator": "cpu"},
        "seed": 0,
    }
    (folder / "mine.yaml").write_text(repr(config))
    return zoo.train(folder / "mine.yaml", out=folder / "run", overrides=["suite=evaluate/quick"])


def test_the_extract_carries_the_answer_and_the_rest_does_not(run):
    scores = {name: score.value for name, score in run.scores.items()}
    rest = max(scores["accuracy of the words left out"], scores["accuracy of the words drawn at random"])
    assert scores["accuracy"] > rest + 0.15
    assert scores["accuracy of the whole text"] > rest + 0.15
    assert scores["comprehensiveness"] > scores["sufficiency"] + 0.1


@torch.no_grad()
def test_figures_of_the_controls_against_loops(run):
    """Comprehensiveness, sufficiency and the accuracy of the rest, text by text."""
    from zoo.data import create_data

    model = zoo.load(str(run.folder))
    data = create_data("sentences", set="generated_reviews", length=40, limit=40)
    data.prepare_data()
    data.setup()
    loader = data.loader("test")
    figures = model.extra_metrics(loader)
    left, fall, rest = [], [], []
    for batch in loader:
        for x, y in zip(batch.x, batch.targets.tolist(), strict=True):
            kept = model.select(x[None])[0].tolist()
            parts = {
                "extract": [c for c, keeps in zip(x.tolist(), kept, strict=True) if keeps],
                "left": [c for c, keeps in zip(x.tolist(), kept, strict=True) if not keeps and c >= 0],
                "whole": [c for c in x.tolist() if c >= 0],
            }
            z = {
                name: model.unit_vectors(torch.tensor([codes + [-1] * (40 - len(codes))]))[0]
                for name, codes in parts.items()
            }
            p = {name: model.head(vector).softmax(0) for name, vector in z.items()}
            answer = int(p["extract"].argmax())
            assert answer == int(model(x[None]).argmax())
            fall.append(float(p["whole"][answer] - p["left"][answer]))
            rest.append(float(p["whole"][answer] - p["extract"][answer]))
            weight, bias = model.controls[0, :, :-1], model.controls[0, :, -1]
            left.append(int((weight @ z["left"] + bias).argmax()) == y)
    assert figures["comprehensiveness"] == pytest.approx(sum(fall) / len(fall), abs=1e-5)
    assert figures["sufficiency"] == pytest.approx(sum(rest) / len(rest), abs=1e-5)
    assert figures["accuracy of the words left out"] == pytest.approx(sum(left) / len(left))


def test_errors():
    with pytest.raises(ValueError, match=r"model.share is 0.0; expected a share of the words, above 0 and at most 1"):
        zoo.create_model("rationale", num_classes=2, sequence=WORDS, share=0)
    with pytest.raises(ValueError, match="fit_rationale chooses on validation texts"):
        built().fit_rationale([])
    assert zoo.create_model("rationale", num_classes=2, sequence=WORDS, contiguous=True).units.names == ["passage 1"]
