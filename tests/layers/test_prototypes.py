import math

import pytest
import torch

from zoo.batch import content_hash
from zoo.layers.prototypes.nearest_patches import Nearest, nearest_patches
from zoo.layers.prototypes.similarity import addon_layers, distances, similarities

KINDS = ("cosine", "log_l2", "l2", "exp_l2")  # distances whose smallest is 0
ALL = (*KINDS, "projection")


def slow_distance(patch, prototype, similarity):
    a, b = patch.flatten().tolist(), prototype.flatten().tolist()
    if similarity == "cosine":
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return 1 - dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))
    if similarity == "projection":
        return -sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(y * y for y in b))
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


SLOW_SIMILARITY = {
    "cosine": lambda d: 1 - d,
    "log_l2": lambda d: math.log((d + 1) / (d + 1e-4)),
    "l2": lambda d: -d,
    "projection": lambda d: -d,
    "exp_l2": lambda d: math.exp(-math.sqrt(d)),
}


@pytest.mark.parametrize("similarity", ALL)
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 3)])
def test_distances_against_a_loop(similarity, size):
    torch.manual_seed(0)
    z, p = torch.rand(2, 3, 4, 5), torch.rand(3, 3, *size)
    result = distances(z, p, similarity)
    assert result.shape == (2, 3, 4 - size[0] + 1, 5 - size[1] + 1)
    for b, u, row, col in torch.ones_like(result).nonzero().tolist():
        slow = slow_distance(z[b, :, row : row + size[0], col : col + size[1]], p[u], similarity)
        assert float(result[b, u, row, col]) == pytest.approx(slow, abs=2e-6)
        fast = similarities(result[b, u, row, col].double(), similarity)
        assert float(fast) == pytest.approx(SLOW_SIMILARITY[similarity](float(result[b, u, row, col])), abs=1e-6)


@pytest.mark.parametrize("similarity", ["log_l2", "exp_l2"])
@pytest.mark.parametrize("size", [(1, 1), (2, 3)])
def test_exact_distances_hold_where_patches_equal_prototypes(similarity, size):
    """Against direct differences in float64, at features whose squares lose all digits of a small distance."""
    torch.manual_seed(0)
    z = 20 + torch.rand(2, 64, 4, 5)
    p = torch.cat([z[:1, :, : size[0], : size[1]], z[1:, :, : size[0], : size[1]] + 1e-3])
    result = distances(z, p, similarity, exact=True)
    assert result.dtype == torch.float32
    patches = z.double().unfold(2, size[0], 1).unfold(3, size[1], 1)  # (b, d, h, w, i, j)
    direct = (patches[:, None] - p.double()[None, :, :, None, None]).square().sum((2, 5, 6))
    torch.testing.assert_close(result.double(), direct, rtol=1e-6, atol=1e-10)
    rounded = similarities(distances(z, p, similarity), similarity)
    assert float((rounded - similarities(direct, similarity)).abs().max()) > 0.01  # why it is needed
    torch.testing.assert_close(
        similarities(result, similarity).double(), similarities(direct, similarity), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("similarity", KINDS)
def test_an_exact_match_is_found_most_similar(similarity):
    z = torch.rand(1, 8, 3, 3)
    p = z[:, :, 1:2, 2:3].clone()
    d = distances(z, p, similarity)
    assert float(d[0, 0, 1, 2]) == pytest.approx(0, abs=1e-5)
    assert int(d.argmin()) == 5
    assert (d >= (-1e-6 if similarity == "cosine" else 0)).all()
    assert similarities(d, similarity).argmax() == 5


def test_similarity_falls_with_distance_and_has_a_gradient_at_0():
    for kind in KINDS:
        d = torch.tensor([0.0, 0.1, 0.5, 1.0, 2.0], requires_grad=True)
        s = similarities(d, kind)
        assert (s.diff() < 0).all()
        s.sum().backward()
        assert d.grad.isfinite().all()
    with pytest.raises(ValueError, match="'dot'; expected cosine"):
        similarities(torch.zeros(1), "dot")


def test_zero_features_do_not_make_nan():
    z = torch.zeros(1, 4, 2, 2, requires_grad=True)
    d = distances(z, torch.zeros(2, 4, 1, 1), "cosine")
    d.sum().backward()
    assert d.isfinite().all()
    assert z.grad.isfinite().all()


def test_half_precision_is_widened():
    z = torch.rand(1, 8, 2, 2).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert distances(z, torch.rand(2, 8, 1, 1), "log_l2").dtype == torch.float32
    assert distances(z.double(), torch.rand(2, 8, 1, 1), "l2").dtype == torch.float64


def slow_nearest(z, y, prototypes, owner, similarity):
    """(distance, sample, row, col) of each prototype: strictly nearer only, so the first of equals stays."""
    i, j = prototypes.shape[2:]
    out = []
    for p, c in zip(prototypes, owner, strict=True):
        best = (math.inf, -1, -1, -1)
        for n in range(len(z)):
            for row in range(z.shape[2] - i + 1):
                for col in range(z.shape[3] - j + 1):
                    if y[n] == c:
                        d = slow_distance(z[n, :, row : row + i, col : col + j], p, similarity)
                        best = (d, n, row, col) if d < best[0] else best
        out.append(best)
    return out


def world(size, *, ties, n=12):
    g = torch.Generator().manual_seed(3)
    z = torch.randint(0, 3, (n, 4, 3, 3), generator=g).float() if ties else torch.rand(n, 4, 3, 3, generator=g)
    if ties:
        z[7], z[9] = z[1], z[2]  # duplicate images
    p = (
        torch.randint(0, 3, (6, 4, size, size), generator=g).float()
        if ties
        else torch.rand(6, 4, size, size, generator=g)
    )
    return z, torch.arange(n) % 2, p, torch.arange(6) % 2


def fed(z, y, batch):
    order = torch.arange(len(z)).split(batch)
    return [(z[rows], y[rows], rows + 100, rows * 7) for rows in order]


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize(("similarity", "ties"), [("l2", True), ("log_l2", False), ("cosine", False), ("exp_l2", True)])
def test_nearest_patches_against_a_loop(size, similarity, ties):
    z, y, p, owner = world(size, ties=ties)
    slow = slow_nearest(z, y, p, owner, similarity)
    for batch in (1, 5, 12):
        result = nearest_patches(fed(z, y, batch), p, owner, similarity)
        for u, (d, n, row, col) in enumerate(slow):
            assert (int(result.index[u]) - 100, int(result.row[u]), int(result.col[u])) == (n, row, col)
            assert float(result.distance[u]) == pytest.approx(d, abs=1e-12)
            assert torch.equal(result.patch[u], z[n, :, row : row + size, col : col + size])
            assert int(result.content[u]) == n * 7


def test_an_exact_match_has_distance_0():
    z, y, p, owner = world(1, ties=False)
    p[0], p[1] = z[4, :, 1:2, 2:3], z[5, :, 0:1, 0:1]
    result = nearest_patches(fed(z, y, 5), p, owner, "log_l2")
    assert result.distance[:2].tolist() == [0.0, 0.0]
    assert result.index[:2].tolist() == [104, 105]


def test_the_order_of_batches_does_not_matter():
    z, y, p, owner = world(1, ties=True)
    forth, back = (nearest_patches(b, p, owner, "l2") for b in (fed(z, y, 5), fed(z, y, 5)[::-1]))
    assert all(torch.equal(v, vars(back)[k]) for k, v in vars(forth).items())


def test_without_owners_all_samples_are_searched():
    z, y, p, _ = world(1, ties=False)
    result = nearest_patches(fed(z, y, 4), p, None, "l2")
    assert result.distance.tolist() == pytest.approx(
        [min(r[0] for r in (slow_nearest(z, y, p[u : u + 1], [c], "l2")[0] for c in (0, 1))) for u in range(6)]
    )


def test_a_class_without_samples_is_named():
    z, y, p, owner = world(1, ties=False)
    owner = owner.clone()
    owner[4] = 8
    with pytest.raises(ValueError, match=r"1 prototypes cannot be projected; .* class \[8\]"):
        nearest_patches(fed(z, y, 5), p, owner, "l2")
    with pytest.raises(ValueError, match="any class"):
        nearest_patches([], p, None, "l2")


def test_merge_prefers_the_nearer_then_the_earlier():
    one = lambda d, *place: Nearest(  # noqa: E731
        torch.tensor([d]), *(torch.tensor([v]) for v in place), torch.full((1, 2, 1, 1), d), torch.tensor([9])
    )
    for a, b, wins in (
        (one(1.0, 5, 0, 0), one(0.5, 9, 0, 0), 9),
        (one(1.0, 5, 0, 0), one(1.0, 4, 2, 2), 4),
        (one(1.0, 5, 1, 0), one(1.0, 5, 0, 2), 5),
    ):
        assert int(a.merge(b).index) == int(b.merge(a).index) == wins
    assert int(one(1.0, 5, 1, 0).merge(one(1.0, 5, 0, 2)).row) == 0
    assert int(one(1.0, 5, 1, 1).merge(one(1.0, 5, 1, 0)).col) == 0


def test_content_hash():
    x = torch.randn(64, 3, 8, 8)
    whole = content_hash(x)
    assert whole.dtype == torch.int64
    assert torch.equal(whole, torch.cat([content_hash(x[i : i + 1]) for i in range(64)]))
    assert len(set(whole.tolist())) == 64
    one_bit = x[:1].clone()
    one_bit[0, 2, 7, 7] = torch.nextafter(one_bit[0, 2, 7, 7], torch.tensor(9.0))
    swapped = x[:1].flip(3)
    assert len({int(content_hash(v)) for v in (x[:1], one_bit, swapped)}) == 3


@pytest.mark.parametrize(
    ("kind", "channels", "dim", "convolutions"),
    [
        ("regular", 64, 16, [(64, 16), (16, 16)]),
        ("bottleneck", 64, 16, [(64, 32), (32, 32), (32, 16), (16, 16)]),
        ("bottleneck", 16, 16, [(16, 16)]),
        ("none", 16, 16, []),
    ],
)
def test_addon_layers(kind, channels, dim, convolutions):
    layers = addon_layers(kind, channels, dim, sigmoid=True)
    result = [(m.in_channels, m.out_channels) for m in layers if isinstance(m, torch.nn.Conv2d)]
    assert result == convolutions
    out = layers(torch.randn(2, channels, 3, 3))
    assert out.shape == (2, dim, 3, 3)
    assert out.min() >= 0
    assert out.max() <= 1
    assert not any(isinstance(m, torch.nn.Sigmoid) for m in addon_layers(kind, channels, dim, sigmoid=False))


def test_no_addon_needs_the_backbones_width():
    with pytest.raises(ValueError, match="dim is 16; expected the backbone.s width 64"):
        addon_layers("none", 64, 16, sigmoid=True)


@pytest.mark.parametrize("similarity", KINDS)
def test_no_prototype_is_left(similarity):
    assert distances(torch.rand(2, 4, 3, 3), torch.zeros(0, 4, 2, 2), similarity).shape == (2, 0, 2, 2)
