"""Perturbations of sequences: tokens, positions, classes and labels go where they say."""

import pytest
import torch

from zoo.batch import Batch
from zoo.metrics.perturbations.perturbation_list import perturbation
from zoo.metrics.perturbations.token_changes import Prefix, Rename, Swap, Typo

T, V = 9, 6


def sequences(b=8):
    g = torch.Generator().manual_seed(0)
    labels = (torch.rand(b, 3, generator=g) > 0.5).float()
    return Batch(torch.randint(0, V, (b, T), generator=g), torch.arange(b) % 3, 50 + torch.arange(b), labels)


def take(batch, rows):
    return Batch(batch.x[rows], batch.y[rows], batch.index[rows], batch.concepts[rows])


ALL = [
    Prefix((1, 2)),
    Typo(V, 2),
    Swap(2),
    Rename(tokens=(1, 0, 2, 3, 5, 4)),
    Rename(order=(8, 7, 6, 5, 4, 3, 2, 1, 0)),
]


@pytest.mark.parametrize("change", ALL, ids=lambda change: change.label)
def test_depends_on_sample_and_draw_alone(change):
    samples = sequences()
    kept, whole = samples.x.clone(), change(samples, 2)
    assert torch.equal(samples.x, kept)
    rows = torch.tensor([5, 0, 3])
    assert torch.equal(change(take(samples, rows), 2).x, whole.x[rows])
    assert not torch.equal(whole.x[:, :T], samples.x)
    assert torch.equal(change(samples, 3).x, whole.x) is not change.random
    assert change.unfit(samples.x) == ""
    assert "changes tokens" in change.unfit(samples.x.float())
    assert "changes tokens" in change.unfit(torch.zeros(2, 3, 4, 4).long())
    with pytest.raises(ValueError, match="needs"):
        change.inputs(samples.x.float(), samples.index, 0)


@pytest.mark.parametrize("change", [ALL[0], ALL[2], ALL[4]], ids=lambda change: change.label)
def test_positions_go_where_their_tokens_go(change):
    """Sequences of all different tokens, each found where it should be."""
    x, ids = 10 + torch.rand(4, T).argsort(1), torch.arange(4)
    for draw in range(3):
        new, at = change.inputs(x, ids, draw), change.place(torch.arange(T).expand(4, -1), ids, draw, (T,))
        assert torch.equal(new.gather(1, at), x)


def test_prefix_after_the_start_token():
    x = torch.tensor([[9, 1, 2]])
    assert Prefix((7, 8), start=1).inputs(x, torch.tensor([0]), 0).tolist() == [[9, 7, 8, 1, 2]]
    assert Prefix((7, 8), start=1).place(torch.tensor([[0, 1, 2]]), torch.tensor([0]), 0, (3,)).tolist() == [[0, 3, 4]]


def test_typos_replace_as_many_tokens_as_asked_by_others():
    x, ids = torch.randint(0, V, (500, T)), torch.arange(500)
    new = Typo(V, 2, start=3).inputs(x, ids, 0)
    changed = new != x
    assert (changed.sum(1) == 2).all()
    assert not changed[:, :3].any()
    assert changed[:, 3:].sum(0).min() > 120  # about 167 each
    assert 0 <= int(new.min()) <= int(new.max()) < V
    assert (Typo(2, 20).inputs(x % 2, ids, 0) == 1 - x % 2).all()


def test_swaps_exchange_neighbours():
    x = torch.arange(T).repeat(300, 1)
    new = Swap(1, start=2).inputs(x, torch.arange(300), 0)
    moved = new != x
    assert (moved.sum(1) == 2).all()
    first = moved.int().argmax(1)
    assert torch.equal(new.gather(1, first[:, None]), first[:, None] + 1)
    assert first.unique().tolist() == list(range(2, T - 1))
    assert torch.equal(Swap(3).inputs(torch.zeros(2, 1).long(), torch.arange(2), 0), torch.zeros(2, 1).long())


def test_renaming_takes_classes_and_labels_along():
    samples = sequences()
    new = Rename(classes=(2, 0, 1), concepts=(1, 2, 0))(samples, 0)
    assert new.y.tolist() == [(y + 2) % 3 for y in samples.y.tolist()]
    for old, now in ((0, 1), (1, 2), (2, 0)):
        assert torch.equal(new.concepts[:, now], samples.concepts[:, old])
    assert torch.equal(new.x, samples.x)
    back = Rename(tokens=(1, 2, 0, 3, 4, 5)).inputs(samples.x, samples.index, 0)
    assert torch.equal(Rename(tokens=(2, 0, 1, 3, 4, 5)).inputs(back, samples.index, 0), samples.x)


@pytest.mark.parametrize(
    ("requested", "words"),
    [
        ({"name": "prefix"}, "number of tokens is 0"),
        ({"name": "typo", "vocabulary": 1}, "vocabulary is 1"),
        ({"name": "typo", "vocabulary": 5, "number": 0}, "number is 0"),
        ({"name": "swap", "number": 0}, "number is 0"),
        ({"name": "rename", "order": [0, 2]}, "order is"),
        ({"name": "rename", "tokens": [1, 1]}, "tokens is"),
    ],
    ids=str,
)
def test_says_what_is_wrong(requested, words):
    with pytest.raises(ValueError, match=words):
        perturbation(requested)
