"""Language models: codebook search, heads and experts at once, generation with a cache, training beside dense.

make benchmark, or pytest -m benchmark -s tests/benchmarks/test_sequence_speed.py
"""

import time

import pytest
import torch
import torch.nn.functional as F

from zoo import create_model
from zoo.batch import Batch
from zoo.nn.codebook import Codebook
from zoo.nn.experts import Experts
from zoo.nn.routing import SparsityGate
from zoo.nn.sampling import choose

pytestmark = pytest.mark.benchmark


def seconds(*runs, repeat=5):
    """Best time of each, taken in turns so that what else the machine does hits all alike."""
    best = [float("inf")] * len(runs)
    for run in runs:
        run()
    for _ in range(repeat):
        for i, run in enumerate(runs):
            start = time.perf_counter()
            run()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def gathered(book, x):
    """The plain form: norms in the score, all scores, then the k codes of every vector side by side."""
    h = book.normed(x)[:, 0]
    codes = book.codes[0]
    score = h @ codes.T / codes.norm(dim=1)
    ids = score.topk(book.k, dim=1).indices
    value = codes[ids].mean(1)
    return value + (h - h.detach())


def test_search_at_k_100():
    torch.manual_seed(0)
    book = Codebook(1, 10000, 512, 100).eval()
    x = torch.randn(2048, 1, 512)

    def fast():
        book(x).value.sum().backward()

    def plain():
        gathered(book, x).sum().backward()

    with torch.no_grad():
        near = (book(x).value[:, 0] - gathered(book, x)).abs().amax(1) < 1e-4
        assert near.float().mean() > 0.99  # rounding may make the 100th code another one
    f, p = seconds(fast, plain, repeat=3)
    print(f"\nsearch, 2048 x 512, 10 000 codes, k=100: {f:.2f} s, gathered {p:.2f} s: {p / f:.1f}x")
    assert p > 1.5 * f


@pytest.mark.parametrize(("heads", "codes", "tokens"), [(4, 1000, 4096), (16, 256, 512), (32, 64, 128)])
def test_heads_at_once(heads, codes, tokens):
    torch.manual_seed(0)
    book = Codebook(heads, codes, 32, 1).eval()
    books = [Codebook(1, codes, 32, 1).eval() for _ in range(heads)]
    x = torch.randn(tokens, heads, 32)

    def once():
        book(x).value.sum().backward()

    def loop():
        torch.cat([one(x[:, i : i + 1]).value for i, one in enumerate(books)], 1).sum().backward()

    f, p = seconds(once, loop)
    what = f"{heads} heads, {codes} codes, {tokens} vectors"
    print(f"\n{what}: {1e3 * f:.1f} ms, a loop over heads {1e3 * p:.1f} ms: {p / f:.1f}x")


def by_expert(one, x):
    """The usual form: expert after expert picks its vectors and adds what it makes of them."""
    score, ids = one.router(x, one.inner).topk(one.k, dim=-1)
    gate, y = score.softmax(-1), torch.zeros_like(x)
    for e in range(len(one.inner)):
        token, slot = (ids == e).nonzero(as_tuple=True)
        made = F.relu(x[token] @ one.inner[e]) @ one.out[e]
        y = y.index_add(0, token, made * gate[token, slot, None])
    return y


@pytest.mark.parametrize(("experts", "width", "hidden"), [(8, 128, 256), (32, 256, 256), (32, 256, 1024)])
def test_experts_at_once(experts, width, hidden):
    torch.manual_seed(0)
    one, x = Experts(width, hidden, SparsityGate(), experts=experts, k=2), torch.randn(2048, width)
    torch.testing.assert_close(one(x), by_expert(one, x), rtol=1e-3, atol=1e-4)

    def fast():
        one(x).sum().backward()

    def plain():
        by_expert(one, x).sum().backward()

    f, p = seconds(fast, plain, repeat=3)
    what = f"{experts} experts of {hidden}, width {width}, 2048 vectors"
    print(f"\n{what}: {1e3 * f:.0f} ms, a loop over experts {1e3 * p:.0f} ms: {p / f:.1f}x")
    assert experts < 32 or p > 1.5 * f


@torch.no_grad()
def test_generation():
    torch.manual_seed(0)
    model = create_model("dense_transformer", num_classes=64, input_shape=[256], width=128, depth=4).eval()
    x = torch.randint(64, (8, 16))

    def fast():
        return model.generate(x, 200, temperature=0)

    def plain():
        row = x
        for _ in range(200):
            row = torch.cat([row, choose(model.decoder(row)[:, -1], temperature=0)[:, None]], 1)
        return row[:, 16:]

    assert torch.equal(fast(), plain())
    f, p = seconds(fast, plain, repeat=2)
    print(f"\n200 tokens for 8 prompts: with cache {f:.2f} s, without {p:.2f} s: {p / f:.1f}x")
    assert p > 2 * f


def test_training_step():
    torch.manual_seed(0)
    x = torch.randint(11, (32, 127))
    batch = Batch(x, torch.randint(11, (32,)), torch.arange(32))
    common = {"num_classes": 11, "input_shape": [127], "width": 128, "depth": 2}
    models = {
        "dense": create_model("dense_transformer", **common),
        "codes at heads": create_model("codebook_transformer", **common),
        "codes at heads and MLP": create_model("codebook_transformer", **common, sites=["mix", "mlp"]),
        "MoE-X, as many neurons at work": create_model("moex", **common),
        "Switch, as many neurons at work": create_model("switch_transformer", **common),
        "MoE-X, 32 experts": create_model("moex", **common, experts=32),
    }
    runs = []
    for model in models.values():
        model.train()
        runs.append(lambda m=model: sum(m.loss(batch, {"match": 1.0}).values()).backward())
    told = seconds(*runs, repeat=3)
    for name, one in zip(models, told, strict=True):
        print(f"\n{name}: {x.numel() / one:.0f} tokens/s, {one / told[0]:.2f} times dense", end="")
