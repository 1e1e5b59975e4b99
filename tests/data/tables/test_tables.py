"""Rows of numbers: standardized by the training split alone, and read from what a user types."""

import pytest
import torch

from zoo.data.split import Split
from zoo.data.table_data import TableData


class Made(TableData):
    """Four columns: two numbers, one that never varies, one that varies only outside train."""

    class_names = ("no", "yes")
    feature_names = ("width", "height, cm", "fixed", "late")

    def __init__(self, shift=0.0, **common):
        super().__init__(batch_size=8, **common)
        self.shift = shift

    def _read(self):
        g, out = torch.Generator().manual_seed(0), {}
        for name, n in (("train", 50), ("val", 20), ("test", 30)):
            x = torch.randn(n, 4, generator=g, dtype=torch.float64) * torch.tensor([3.0, 0.01, 1, 1])
            x = x + torch.tensor([5.0, -100, 0, 0]) + (0 if name == "train" else self.shift)
            x[:, 2] = 0.1
            x[:, 3] = 0.3 if name == "train" else x[:, 3]
            out[name] = Split([f"{name} {i}" for i in range(n)], torch.arange(n) % 2, x=x.float())
        return out


@pytest.fixture
def data():
    return Made()


def batches(data, name):
    return torch.cat([b.x for b in data.loader(name)])


def test_standardized_by_train_alone(data):
    x = batches(data, "train")
    assert x.dtype == torch.float32
    assert x.mean(0).abs().max() < 1e-6
    torch.testing.assert_close(x[:, :2].std(0, correction=0), torch.ones(2), rtol=1e-5, atol=0)
    moved = Made(shift=7.0)
    assert torch.equal(batches(moved, "train"), x), "other splits have no say"
    rows = data.splits["train"].x.double()
    for name in ("val", "test"):
        by_hand = (moved.splits[name].x.double() - rows.mean(0))[:, :2] / rows[:, :2].std(0, correction=0)
        torch.testing.assert_close(batches(moved, name)[:, :2].double(), by_hand, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(data.values(batches(data, "test")), data.splits["test"].x)


def test_a_column_that_does_not_vary(data):
    assert data.splits["train"].x[:, 2].std() >= 0
    assert batches(data, "train")[:, 2:].tolist() == [[0.0, 0.0]] * 50
    late = data.splits["test"].x[:, 3]
    torch.testing.assert_close(batches(data, "test")[:, 3], late - torch.tensor(0.3))  # in its own unit


def test_an_input_of_ones_own(data):
    row = data.splits["test"].x[3]
    a, b, c, d = row.tolist()
    for text in (
        f'width={a!r},"height, cm={b!r}",fixed={c!r},late={d!r}',
        f' late = {d!r}, fixed={c!r} , "height, cm= {b!r}",width={a!r}',
    ):
        torch.testing.assert_close(data.read_input(text), data.samples("test", [3]).x[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            'width=1,"height, cm=2",fixed=3',
            "feature 'late' is missing; expected width=..,\"height, cm=..\",fixed=..,late=..",
        ),
        ("widht=1,late=2", "'widht' is not a feature, did you mean width"),
        ("width=1,width=2", "feature 'width' is given twice"),
        ("width=wide", "'wide' for feature 'width' is not a finite number"),
        ("width=nan", "'nan' for feature 'width' is not a finite number"),
        ("width=", "'' for feature 'width' is not a finite number"),
        ("7", "'7' is not a feature"),
        ("", "feature 'width' is missing"),
    ],
)
def test_slips(data, text, words):
    with pytest.raises(ValueError, match=f"input {text!r}: {words}"):
        data.read_input(text)


def test_loaders_and_limit():
    data = Made(limit=10)
    assert [len(s) for s in data.splits.values()] == [10, 10, 10]
    x = data.splits["train"].x.double()
    torch.testing.assert_close(data.scale[0][:2], x.mean(0)[:2])
    order = torch.cat([b.index for b in data.train_dataloader()])
    assert sorted(order.tolist()) == list(range(10)) != order.tolist()
