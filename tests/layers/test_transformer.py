"""The decoder against a slow one written from the formulas, its cache against no cache, and sampling by counting."""

import math

import pytest
import torch

from zoo.layers.transformer.attention import rotate, turning
from zoo.layers.transformer.contexts import following, prompts
from zoo.layers.transformer.decoder import Cache, Decoder
from zoo.layers.transformer.sampling import choose, generate

B, T, C, D = 3, 7, 11, 16


def build(**args):
    torch.manual_seed(0)
    decoder = Decoder(C, 12, **{"width": D, "depth": 2, "heads": 2} | args).double().eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return decoder


@pytest.fixture
def tokens():
    return torch.randint(C, (B, T), generator=torch.Generator().manual_seed(1))


def rms(x, gain):
    return x / math.sqrt(float((x * x).mean()) + 1e-6) * gain


def turned(x, p, fastest, base):
    out, half = x.clone(), len(x) // 2
    for i in range(half):
        angle = p * fastest * base ** (-i / half)
        c, s = math.cos(angle), math.sin(angle)
        out[i], out[i + half] = c * x[i] - s * x[i + half], s * x[i] + c * x[i + half]
    return out


def oracle(decoder, row, fastest=1.0, base=1e4):
    """One sequence, position by position and head by head."""
    stream = [decoder.embed.weight[token] for token in row]
    for block in decoder.blocks:
        h = block.attention.heads
        e = D // h
        qkv = torch.stack([block.attention.qkv.weight @ rms(x, block.norm1.weight) for x in stream])
        for at in range(len(row)):
            mixed = []
            for head in range(h):
                q, k, v = (qkv[:, w * D + head * e : w * D + (head + 1) * e] for w in range(3))
                query = turned(q[at], at, fastest, base)
                score = torch.stack([query @ turned(k[p], p, fastest, base) for p in range(at + 1)])
                mixed.append((score / math.sqrt(e)).softmax(0) @ v[: at + 1])
            stream[at] = stream[at] + block.attention.out.weight @ torch.cat(mixed)
        for at, x in enumerate(stream):
            inner, kind = block.mlp.inner.weight @ rms(x, block.norm2.weight), block.mlp.activation
            if kind == "swiglu":
                gate, value = inner[: len(inner) // 2], inner[len(inner) // 2 :]
                hidden = gate / (1 + (-gate).exp()) * value
            elif kind == "relu":
                hidden = inner * (inner > 0)
            else:
                hidden = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
            stream[at] = x + block.mlp.out.weight @ hidden
    return torch.stack([decoder.head.weight @ rms(x, decoder.norm.weight) for x in stream])


@torch.no_grad()
@pytest.mark.parametrize("activation", ["relu", "gelu", "swiglu"])
@pytest.mark.parametrize("fastest", [1.0, math.pi])
def test_by_the_formulas(tokens, activation, fastest):
    decoder = build(activation=activation, rotary_fastest=fastest)
    result = decoder(tokens)
    for row, logits in zip(tokens, result, strict=True):
        torch.testing.assert_close(oracle(decoder, row.tolist(), fastest), logits, rtol=1e-6, atol=1e-6)


def test_positions_are_relative():
    turn = turning(40, 4, base=100.0, fastest=2.0).double()
    q, k = torch.randn(2, 1, 8, dtype=torch.float64)
    near = rotate(q, turn[5]) @ rotate(k, turn[2]).T
    torch.testing.assert_close(near, rotate(q, turn[36]) @ rotate(k, turn[33]).T, rtol=1e-5, atol=1e-5)
    even = turning(40, 4, base=1.0, fastest=math.pi).double()  # a turn by pi is a change of sign
    torch.testing.assert_close(rotate(q, even[7]), -q, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_future_is_not_seen(tokens):
    decoder, other = build(), tokens.clone()
    other[:, 4:] = (other[:, 4:] + 1) % C
    torch.testing.assert_close(decoder(tokens)[:, :4], decoder(other)[:, :4], rtol=0, atol=1e-12)


@torch.no_grad()
def test_a_step_is_the_pass(tokens):
    """Every position of every sequence at once: of different lengths, with what stands behind them scrambled."""
    decoder, whole = build(), build()(tokens)
    _, state = decoder.run(tokens, keep=True)
    at = torch.tensor([6, 0, 3])
    behind = torch.arange(T) >= at[:, None]
    past = Cache(*(part.masked_fill(behind[:, None, None, :, None], 1e6) for part in state))
    stream, own = decoder.step(tokens[torch.arange(B), at], at, past)
    torch.testing.assert_close(decoder.read(stream)[0], whole[torch.arange(B), at], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(own.keys[:, :, :, 0], state.keys[torch.arange(B), :, :, at], rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_versions_are_for_themselves(tokens):
    """A visit may make versions differ; each is what it would be alone."""
    decoder, at = build(), torch.full((B,), T - 1)
    _, state = decoder.run(tokens, keep=True)
    factor = torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64)
    every, _ = decoder.step(
        tokens[:, -1], at, state, lambda i, p, v: v * factor[:, None, None] if p == "hidden" else v, versions=3
    )
    for n in range(3):
        alone, _ = decoder.step(tokens[:, -1], at, state, lambda i, p, v, n=n: v * factor[n] if p == "hidden" else v)
        torch.testing.assert_close(every[n], alone[0], rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_places_are_seen_in_order(tokens):
    places = []
    build().run(tokens, lambda i, place, v: (places.append((i, place, tuple(v.shape))), v)[1])
    shapes = {"mix": (B, T, 2, D // 2), "attention": (B, T, D), "hidden": (B, T, 4 * D), "mlp": (B, T, D)}
    assert places == [(i, place, shape) for i in range(2) for place, shape in shapes.items()]


@torch.no_grad()
def test_readout_is_the_logit(tokens):
    decoder = build()
    stream, _ = decoder.run(tokens)
    target = torch.tensor([0, 5, 10])
    direction = decoder.readout(stream[:, -1], target)
    torch.testing.assert_close(
        (stream[:, -1] * direction).sum(1), decoder(tokens)[torch.arange(B), -1, target], rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"top_k": 3}, {"top_p": 0.6, "temperature": 1.5}])
def test_the_cache_is_no_cache(tokens, options):
    """Generation from prompts of different lengths equals a whole pass over everything for each new token."""
    decoder, length = build(), torch.tensor([5, 1, 7])
    fast = generate(decoder, tokens, length, 5, generator=torch.Generator().manual_seed(3), **options)
    rows, g = [tokens[i, :n].tolist() for i, n in enumerate(length.tolist())], torch.Generator().manual_seed(3)
    for _ in range(5):
        with torch.no_grad():
            logits = torch.stack([decoder(torch.tensor([row]))[0, -1] for row in rows])
        for row, token in zip(rows, choose(logits, generator=g, **options).tolist(), strict=True):
            row.append(token)
    assert fast.tolist() == [row[n:] for row, n in zip(rows, length.tolist(), strict=True)]


def test_generation_ends_at_the_context(tokens):
    decoder = build()
    assert generate(decoder, tokens, torch.full((B,), T), 6).shape == (B, 6)
    assert generate(decoder, tokens, torch.full((B,), T), 0).shape == (B, 0)
    with pytest.raises(ValueError, match="prompt of 7 tokens and 7 new ones do not fit the context of 12"):
        generate(decoder, tokens, torch.full((B,), T), 7)


def test_choose():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(20000, -1)
    share = lambda **a: torch.bincount(choose(logits, generator=torch.Generator().manual_seed(0), **a), minlength=4)  # noqa: E731
    near = lambda counts, *wanted: (counts / 20000 - torch.tensor(wanted)).abs().max() < 0.015  # noqa: E731
    assert near(share(), 0.5, 0.3, 0.15, 0.05)
    assert near(share(temperature=0), 1, 0, 0, 0)
    assert near(share(top_k=2), 0.625, 0.375, 0, 0)
    assert near(share(top_p=0.5), 1, 0, 0, 0)
    assert near(share(top_p=0.51), 0.625, 0.375, 0, 0)
    assert near(share(top_p=1.0), 0.5, 0.3, 0.15, 0.05)
    assert near(share(temperature=1e-30), 1, 0, 0, 0)
    sharp = torch.tensor([0.25, 0.09, 0.0225, 0.0025])
    assert near(share(temperature=0.5), *(sharp / sharp.sum()).tolist())
    for bad in ({"temperature": -1}, {"temperature": math.inf}, {"top_k": 0}, {"top_p": 0}, {"top_p": 1.1}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            choose(logits, **bad)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"width": 0}, "width is 0"),
        ({"width": 18, "heads": 4}, "multiple of twice"),
        ({"depth": 0}, "depth is 0"),
        ({"hidden": -1}, "hidden is -1"),
        ({"heads": 0}, "heads is 0"),
    ],
)
def test_wrong_sizes(args, words):
    with pytest.raises(ValueError, match=words):
        build(**args)


def test_following():
    x = torch.tensor([[3, 1, 4], [1, 5, -1], [9, -1, -1]])
    assert following(x, torch.tensor([7, 8, 9])).tolist() == [[1, 4, 7], [5, 8, -1], [9, -1, -1]]


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.tensor([[1.0]]), "expected .b, t. integer tokens"),
        (torch.tensor([1]), "expected .b, t. integer tokens"),
        (torch.tensor([[1, 11]]), "context 0 has token 11 at position 1; expected 0 to 10"),
        (torch.tensor([[1, 2], [1, -2]]), "context 1 has token -2"),
        (torch.tensor([[1, 2], [-1, -1]]), "context 1 is empty"),
        (torch.tensor([[1, -1, 2]]), "context 0 has -1 before its end"),
        (torch.zeros(2, 13, dtype=torch.int64), "a context has 13 tokens; expected at most 12"),
    ],
)
def test_wrong_prompts(x, words):
    with pytest.raises(ValueError, match=words):
        prompts(x, build())


def test_padding_beyond_the_context_is_cut():
    x = torch.full((1, 20), -1)
    x[0, :2] = 1
    tokens, length = prompts(x, build())
    assert tokens.shape == (1, 12)
    assert length.tolist() == [2]
