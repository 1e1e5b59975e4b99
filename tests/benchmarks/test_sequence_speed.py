"""Language models: codebook search, heads at once, generation with a cache, a training step beside dense.

make benchmark, or pytest -m benchmark -s tests/benchmarks/test_sequence_speed.py
"""

import time

import pytest
import torch

from zoo import create_model
from zoo.batch import Batch
from zoo.nn.codebook import Codebook
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
    }
    runs = []
    for model in models.values():
        model.train()
        runs.append(lambda m=model: sum(m.loss(batch, {"match": 1.0}).values()).backward())
    told = seconds(*runs, repeat=3)
    for name, one in zip(models, told, strict=True):
        print(f"\n{name}: {x.numel() / one:.0f} tokens/s, {one / told[0]:.2f} times dense", end="")
