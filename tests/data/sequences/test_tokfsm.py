"""TokFSM: the walks, and the floor against sums over everything that can happen."""

import itertools
import math

import pytest
import torch

from zoo.data import create_data

TINY = {"n_train": 50, "n_val": 8, "n_test": 40}


def words(row):
    digits = [str(i) for i in row]
    return ["".join(digits[i : i + 2]) for i in range(0, len(digits), 2)]


def test_walks_follow_the_machine():
    data = create_data("tokfsm", **TINY)
    assert data.successors.shape == (100, 10)
    assert all(len(set(row)) == 10 for row in data.successors.tolist())
    for split in ("train", "val", "test"):
        for row in data.windows(split).tolist():
            assert row[0] == 10
            states = [int(word) for word in words(row[1:]) if len(word) == 2]
            assert len(row) == 128
            assert all(b in data.successors[a] for a, b in itertools.pairwise(states))


def test_splits_and_seeds():
    a, b, c = (create_data("tokfsm", seed=s, **TINY) for s in (0, 0, 1))
    assert (a.successors == c.successors).all()
    assert torch.equal(a.windows("train"), b.windows("train"))
    every = [tuple(row) for d in (a, c) for s in ("train", "val", "test") for row in d.windows(s).tolist()]
    assert len(set(every)) == len(every)
    assert a.fingerprint() == b.fingerprint() != c.fingerprint()
    assert a.fingerprint() != create_data("tokfsm", machine=1, **TINY).fingerprint()


def test_samples():
    data = create_data("tokfsm", **TINY)
    train, whole = data.samples("train", [3]), data.windows("train")[3]
    assert torch.equal(train.x[0], whole[:-1])
    assert train.y[0] == whole[-1]
    test, whole = data.samples("test", range(40)), data.windows("test")
    length = (test.x >= 0).sum(1)
    assert length.min() >= 1
    assert length.unique().numel() == 40  # all lengths equally likely: none twice before all have been
    for x, y, n, row in zip(test.x, test.y, length.tolist(), whole, strict=True):
        assert torch.equal(x[:n], row[:n])
        assert y == row[n]
        assert (x[n:] == -1).all()
    assert data.token_texts(test.x[:1, :6])[0] == [
        data.class_names[i] + " " * (j % 2 == 0) for j, i in enumerate(test.x[0, :6].tolist()) if i >= 0
    ]


@pytest.mark.parametrize("context", [3, 4, 5, 6])
def test_floor_by_enumeration(context):
    """All walks of a small machine, each with its chance; conditional chances by counting."""
    data = create_data("tokfsm", states=23, branches=3, context=context, **{**TINY, "n_train": 9, "n_test": 9})
    after, steps = data.successors.tolist(), (context + 1) // 2
    walks = [((s,), 1 / 23) for s in range(23)]
    for _ in range(steps - 1):
        walks = [((*w, s), p / 3) for w, p in walks for s in after[w[-1]]]
    chance = {}
    for walk, p in walks:
        text = "".join(f"{s:02d}" for s in walk)[:context]
        for n in range(context + 1):
            chance[text[:n]] = chance.get(text[:n], 0) + p
    loss = best = 0.0
    for n in range(context):
        for prefix in [k for k in chance if len(k) == n]:
            shares = [chance[k] / chance[prefix] for k in chance if len(k) == n + 1 and k.startswith(prefix)]
            loss -= chance[prefix] * sum(p * math.log(p) for p in shares)
            best += chance[prefix] * max(shares)
    assert data.floor == pytest.approx((loss / context, best / context), abs=1e-12)
    windows = data.windows("test")
    result = data.next_digit_probabilities(windows[:, :-1])
    for row, actual in zip(windows.tolist(), result, strict=True):
        text = "".join(map(str, row[1:]))
        for n in range(context):
            wanted = [chance.get(text[:n] + str(d), 0) / chance[text[:n]] for d in range(10)]
            torch.testing.assert_close(actual[n], torch.tensor(wanted, dtype=torch.float64))


def test_the_published_size_has_the_published_floor():
    loss, best = create_data("tokfsm", **TINY).floor
    assert abs(loss - 1.1748) < 1e-3
    assert abs(best - 0.4638) < 5e-3


class Knowing:
    """A model that knows the machine, perhaps with some of its chances moved towards uniform."""

    device = "cpu"
    capabilities = frozenset({"language_model"})

    def __init__(self, data, blur=0.0):
        self.data, self.blur = data, blur

    def position_logits(self, x):
        chance = self.data.next_digit_probabilities(x).float().nan_to_num(0.1)  # after what cannot be, anything
        chance = (1 - self.blur) * chance + self.blur / 10
        return torch.nn.functional.pad(chance, (0, 1)).clamp_min(1e-30).log()

    def generate(self, x, new, seed=0):
        g = torch.Generator().manual_seed(seed)
        for _ in range(new):
            chance = self.position_logits(x)[:, -1].softmax(1)
            x = torch.cat([x, torch.multinomial(chance, 1, generator=g)], 1)
        return x[:, 1:]


def test_figures():
    data = create_data("tokfsm", **TINY)
    result = data.extra_metrics(Knowing(data))
    assert abs(result["gap to floor"]) < 1e-6
    assert result["transition accuracy"] == result["first transition"] == 1
    assert abs(result["token accuracy"] - result["best token accuracy"]) < 0.02
    blurred = data.extra_metrics(Knowing(data, 0.3))
    assert blurred["gap to floor"] > 0.1
    assert 0.2 < blurred["transition accuracy"] < 0.9
    assert blurred["first transition"] == 1


def test_possible():
    data = create_data("tokfsm", states=50, branches=2, **{**TINY})
    a = 7
    b = int(data.successors[a][0])
    other = next(s for s in range(50) if s not in data.successors[b])
    digits = [int(d) for d in f"{a:02d}{b:02d}{other:02d}"]
    assert data.transition_accuracy(torch.tensor([digits])) == 0.5
    assert data.transition_accuracy(torch.tensor([[*digits[:4], 9, 9, 0, 7]])) == pytest.approx(1 / 3)  # 99 is no state
    assert data.transition_accuracy(torch.tensor([[*digits[:4], 10, 1]])) == 0.5  # the begin token is no digit


def test_read_input():
    data = create_data("tokfsm", **TINY)
    assert data.read_input("12 3")[:5].tolist() == [10, 1, 2, 3, -1]
    for text, wrong in (
        ("12a", "'a' .place 3 of '12a'. is not in the vocabulary"),
        ("", "prompt is empty"),
        (" ", "prompt is empty"),
        ("1" * 127, "128 tokens; the model reads 127 at most"),
    ):
        with pytest.raises(ValueError, match=wrong):
            data.read_input(text)


@pytest.mark.parametrize(
    ("args", "wrong"),
    [
        ({"states": 101}, "states is 101"),
        ({"branches": 0}, "branches is 0"),
        ({"n_test": 0}, "n_test is 0"),
        ({"context": 2}, "context is 2"),
        ({"states": 2, "branches": 3}, "branches is 3"),
    ],
)
def test_wrong_arguments(args, wrong):
    with pytest.raises(ValueError, match=wrong):
        create_data("tokfsm", **TINY | args)


def test_too_few_different_sequences():
    data = create_data("tokfsm", states=4, branches=1, context=9, **TINY)
    with pytest.raises(ValueError, match="of 98 sequences of 10 tokens only 4 differ, and splits must"):
        data.setup()
