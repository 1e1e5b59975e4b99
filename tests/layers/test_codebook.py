"""Codebooks against loops over vectors and heads, their gradients, k-means, and the revival of dead codes."""

import copy

import pytest
import torch

from zoo.layers.codebook import kmeans, nearest_codes
from zoo.layers.codebook.bottleneck import Codebook, committed, matched
from zoo.layers.codebook.reset import count, reset_dead_codes

G, C, E = 3, 9, 4


def build(k=2, **args):
    torch.manual_seed(0)
    book = Codebook(G, C, E, k).double().eval()
    with torch.no_grad():
        book.gain.add_(0.3 * torch.randn(G, E))
        book.shift.add_(0.3 * torch.randn(G, E))
    return book


@pytest.fixture
def x():
    return torch.randn(2, 5, G, E, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def oracle(book, x):
    """One vector of one group at a time, by the formula."""
    value, ids, wanted = torch.empty_like(x), torch.empty(*x.shape[:-1], book.k, dtype=torch.int64), torch.empty_like(x)
    for place in torch.cartesian_prod(*map(torch.arange, x.shape[:-1])).tolist():
        at, g = tuple(place), place[-1]
        v = x[at]
        h = (v - v.mean()) / (v.var(correction=0) + 1e-5).sqrt() * book.gain[g] + book.shift[g]
        score = torch.stack([h @ code / code.norm() for code in book.codes[g]])
        ids[at] = score.argsort(descending=True)[: book.k]
        value[at], wanted[at] = book.codes[g][ids[at]].sum(0) / book.k, h
    return value, ids, wanted


@pytest.mark.parametrize("k", [1, 2, C])
@pytest.mark.parametrize("budget", [1 << 20, 1])
def test_by_the_formula(x, k, budget, monkeypatch):
    monkeypatch.setattr(nearest_codes, "BUDGET_CPU", budget)
    monkeypatch.setattr(nearest_codes, "MIN_ROWS", 1)
    book = build(k)
    with torch.no_grad():
        result, (value, ids, wanted) = book(x), oracle(book, x)
    torch.testing.assert_close(result.value, value)
    torch.testing.assert_close(result.normalized, wanted)
    assert torch.equal(result.ids, ids)
    versions = torch.stack([x, -x])  # more leading dimensions
    with torch.no_grad():
        assert torch.equal(book(versions).ids[0], ids)


def test_gradients(x):
    """Straight through to the input, and to each code what its positions received, over k."""
    book, x = build(2), x.requires_grad_()
    result = book(x)
    way = torch.randn_like(result.value)
    (result.value * way).sum().backward()
    expected = torch.zeros_like(book.codes)
    for place in torch.cartesian_prod(*map(torch.arange, x.shape[:-1])).tolist():
        for code in result.ids[tuple(place)]:
            expected[place[-1], code] += way[tuple(place)] / 2
    torch.testing.assert_close(book.codes.grad, expected)
    plain = x.detach().clone().requires_grad_()
    (book.normed(plain) * way).sum().backward()
    torch.testing.assert_close(x.grad, plain.grad)


def test_loss_terms(x):
    """Each reaches what it should and nothing else; a loss times 0 leaves no gradient at all."""
    real = torch.rand(2, 5, generator=torch.Generator().manual_seed(2)) < 0.6
    for term, learns in ((matched, "codes"), (committed, "gain")):
        book = build(2)
        result = book(x)
        loss = term(result, real)
        distance = (oracle(book, x)[0] - oracle(book, x)[2]).square().sum(-1)[real].mean()
        torch.testing.assert_close(loss, distance)
        loss.backward()
        touched = {name for name, p in book.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        assert learns in touched
        assert touched in ({"codes"}, {"gain", "shift"})
        book.zero_grad()
        (0 * term(book(x))).backward()
        assert all(p.grad is None or not p.grad.any() for p in book.parameters())


def test_two_books_share_nothing(x):
    one, two = build(1), build(3)
    assert (one(x).ids.shape[-1], two(x).ids.shape[-1]) == (1, 3)
    assert (one.k, two.k) == (1, 3)


def test_only_training_is_noted(x):
    """The pass itself changes nothing, evaluation notes nothing, padding does not count, batches add up."""
    book, real = build(2), torch.rand(2, 5, generator=torch.Generator().manual_seed(2)) < 0.6
    book.note(book(x), real)
    assert book.noted is None
    before = copy.deepcopy(book.state_dict())
    book.train()
    result = book(x)
    assert book.noted is None
    expected = torch.stack([torch.bincount(result.ids[:, :, g][real].flatten(), minlength=C) for g in range(G)])
    book.note(result, real)
    book.note(result, real)
    assert torch.equal(book.noted.hits, 2 * expected)
    assert torch.equal(book.noted.vectors, result.normalized[real])
    assert all(torch.equal(v, before[name]) for name, v in book.state_dict().items())
    [wanted] = count([book])
    assert torch.equal(book.hits, 2 * expected)
    assert torch.equal(wanted, result.normalized[real])
    assert book.noted is None


@pytest.mark.parametrize(("c", "k"), [(60, 1), (256, 1), (700, 1), (701, 1), (640, 10), (800, 8), (6400, 100)])
def test_search_by_piles(c, k):
    """The same codes in the same order as by sorting all scores, above and below what piles are used for."""
    g = torch.Generator().manual_seed(c)
    wanted, unit = torch.randn(7, 2, 5, generator=g), torch.randn(2, c, 5, generator=g)
    score = torch.einsum("nge,gce->ngc", wanted.double(), unit.double())
    assert torch.equal(nearest_codes.search(wanted, unit, k), score.argsort(-1, descending=True)[..., :k])


def test_precision(x):
    """Autocast changes neither choice nor scale: norms and scores are in float32 even for lower inputs."""
    book = build(2).float()
    half = x.bfloat16()
    expected = book(half.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = book(half)
    assert torch.equal(result.ids, expected.ids)
    assert torch.equal(result.value, expected.value)
    assert result.value.dtype == torch.float32


def test_halves_of_a_batch(x):
    """Gradients of the loss terms over a batch are the means of those over its halves, as accumulation takes them."""

    def gradient(half):
        book = build(2)
        result = book(half)
        (matched(result) + committed(result) + result.value.square().mean()).backward()
        return [p.grad for p in book.parameters()]

    for whole, one, two in zip(gradient(x), gradient(x[:1]), gradient(x[1:]), strict=True):
        torch.testing.assert_close(whole, (one + two) / 2)


def test_start():
    """Well apart clusters are found, and the norm's scale is that of the input."""
    g = torch.Generator().manual_seed(0)
    centres = 5 * torch.randn(G, 6, E, dtype=torch.float64, generator=g)
    pick = torch.randint(6, (400, G), generator=g)
    x = centres[torch.arange(G), pick] + 0.01 * torch.randn(400, G, E, dtype=torch.float64, generator=g)
    book = Codebook(G, 40, E, 1).double().eval()
    book.fit(x, rounds=5)
    value = book(x).value
    for i in range(G):  # vectors of one cluster are said by codes that are nearly one
        for c in range(6):
            own = value[pick[:, i] == c, i]
            assert (own - own.mean(0)).norm(dim=1).max() < 0.2
    near = (book.normed(x) - x).square().mean()
    assert near < (Codebook(G, 2, E, 1).double().normed(x) - x).square().mean()
    with pytest.raises(ValueError, match="39 vectors for 40 codes"):
        book.fit(x[:39], rounds=1)


def test_spread_out():
    """Far clusters are all found, which random draws would not manage; nothing is drawn twice while others are left."""
    g = torch.Generator().manual_seed(0)
    centres = 100 * torch.randn(2, 30, E, dtype=torch.float64, generator=g)
    pick = torch.cat([torch.zeros(600, dtype=torch.int64), torch.arange(30).repeat(2)])  # nearly all in one cluster
    x = centres[:, pick].transpose(0, 1) + 0.01 * torch.randn(660, 2, E, dtype=torch.float64, generator=g)
    result = kmeans.spread_out(x, 30, seed=0)
    for group in range(2):
        near = torch.cdist(result[group], centres[group]).argmin(1)
        assert near.unique().numel() >= 29
    few = torch.arange(4.0).view(4, 1, 1)
    assert sorted(kmeans.spread_out(few, 4, seed=1).flatten().tolist()) == [0, 1, 2, 3]
    assert kmeans.spread_out(torch.ones(3, 1, 2), 3, seed=1).eq(1).all()  # no distances left


def test_dead_code_reset():
    book = build(1).train()
    optimizer = torch.optim.AdamW(book.parameters(), lr=1e-2)
    x = torch.randn(6, G, E, dtype=torch.float64)
    for _ in range(2):
        optimizer.zero_grad()
        result = book(x[:, None])
        book.note(result, torch.ones(6, 1, dtype=torch.bool))
        result.value.square().sum().backward()
        [wanted] = count([book])
        optimizer.step()
    dead, before = book.hits == 0, copy.deepcopy(book.state_dict())
    moments = {k: v.clone() for k, v in optimizer.state[book.codes].items()}
    assert 0 < int(dead.sum()) < G * C
    assert reset_dead_codes(book, wanted, [optimizer], seed=0) == int(dead.sum())
    assert torch.equal(book.codes[~dead], before["codes"][~dead])
    for g, c in dead.nonzero().tolist():
        assert any(torch.equal(book.codes[g, c], v) for v in wanted[:, g])
    for name in ("exp_avg", "exp_avg_sq"):
        now = optimizer.state[book.codes][name]
        assert not now[dead].any()
        assert torch.equal(now[~dead], moments[name][~dead])
    assert optimizer.state[book.codes]["step"] == moments["step"]
    assert not book.hits.any()
    assert torch.equal(book.gain, before["gain"])


@pytest.mark.parametrize(
    ("args", "words"), [((1, 0, 4, 1), "codes is 0"), ((1, 3, 4, 0), "k is 0"), ((1, 3, 4, 4), "k is 4")]
)
def test_wrong_numbers(args, words):
    with pytest.raises(ValueError, match=words):
        Codebook(*args)
