"""Bilinear layers against the formulas, written out with loops and whole tensors in float64."""

import pytest
import torch
from torch import nn

from zoo.layers.bilinear import tensor_gram
from zoo.layers.bilinear.adversarial_masks import accuracy_beside, masks, selective, shuffled
from zoo.layers.bilinear.bilinear import Bilinear, forms, interactions, spectrum
from zoo.layers.bilinear.eigenvectors import effective_rank, project, truncate

CASES = [(bias, embedded) for bias in (False, True) for embedded in (False, True)]


def network(bias=False, embedded=False, seed=0, width=7, inputs=5, classes=3):
    """Layer, head and embedding of a random network in float64."""
    torch.manual_seed(seed)
    embed = nn.Linear(inputs, width, bias=False).double() if embedded else None
    return (
        Bilinear(width if embedded else inputs, width, bias=bias).double(),
        nn.Linear(width, classes, bias=bias).double(),
        embed,
    )


def as_forms(layer, head, embed):
    return forms(layer, head.weight, shift=head.bias, embed=None if embed is None else embed.weight)


def answer(x, layer, head, embed):
    return head(layer(x if embed is None else embed(x)))


def with_one(x, width):
    return x if x.shape[1] == width else torch.cat([x, x.new_ones(len(x), 1)], dim=1)


def whole_tensor(layer, head, embed):
    """The symmetrised ``(c, d, d)`` tensor by loops over classes and products, one outer product at a time."""
    h = len(layer.weight) // 2
    weight = layer.weight if embed is None else layer.weight @ embed.weight
    d = weight.shape[1]
    out = []
    for c in range(len(head.weight)):
        q = torch.zeros(d + 1, d + 1, dtype=torch.float64)
        for m in range(h):
            a, b = (0, 0) if layer.bias is None else (layer.bias[m], layer.bias[h + m])
            left, right = torch.cat([weight[m], torch.tensor([a])]), torch.cat([weight[h + m], torch.tensor([b])])
            outer = torch.einsum("i,j->ij", left, right)
            q += head.weight[c, m] * (outer + outer.T) / 2
        q[d, d] += 0 if head.bias is None else head.bias[c]
        out.append(q if head.bias is not None else q[:d, :d])
    return torch.stack(out)


@torch.no_grad()
def test_layer():
    layer, x = Bilinear(4, 3, bias=True), torch.randn(2, 6, 4)
    assert layer.weight.shape == (6, 4)
    left = x @ layer.weight[:3].T + layer.bias[:3]
    right = x @ layer.weight[3:].T + layer.bias[3:]
    torch.testing.assert_close(layer(x), left * right)
    assert Bilinear(4, 3).bias is None


@torch.no_grad()
@pytest.mark.parametrize("width", [7, 2, 1])  # fewer factors than inputs: decomposed in their span
@pytest.mark.parametrize(("bias", "embedded"), CASES)
def test_interactions_and_spectrum(bias, embedded, width):
    net = network(bias, embedded, width=width)
    of = as_forms(*net)
    q = interactions(of)
    torch.testing.assert_close(q, whole_tensor(*net), rtol=1e-12, atol=1e-12)
    x = torch.randn(11, 5, dtype=torch.float64)
    long, logits = with_one(x, q.shape[1]), answer(x, *net)
    torch.testing.assert_close(torch.einsum("bi,cij,bj->bc", long, q, long), logits, rtol=1e-10, atol=1e-10)
    values, vectors = spectrum(of)
    squares = torch.einsum("bd,cid->bci", long, vectors).square()
    torch.testing.assert_close((squares * values).sum(2), logits, rtol=1e-10, atol=1e-10)
    assert (values.abs().diff(dim=1) <= 0).all()
    for c in range(3):  # one class at a time
        alone = torch.linalg.eigvalsh(q[c])
        torch.testing.assert_close(values[c].sort().values, alone, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(vectors[c] @ vectors[c].T, torch.eye(len(alone)).double(), rtol=0, atol=1e-10)
        for value, v in zip(values[c], vectors[c], strict=True):
            torch.testing.assert_close(q[c] @ v, value * v, rtol=1e-9, atol=1e-10)
            assert v[v.abs().argmax()] > 0


@torch.no_grad()
@pytest.mark.parametrize(("bias", "embedded"), CASES)
def test_gram_identity(bias, embedded):
    """Norm, spectrum and cosine from Gram matrices are those of the materialised tensor, for unlike widths too."""
    one, two = network(bias, embedded), network(bias, embedded, seed=1, width=9 if embedded else 7)
    a, b = whole_tensor(*one), whole_tensor(*two)
    fa, fb = as_forms(*one), as_forms(*two)
    close = lambda x, y: torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-10)  # noqa: E731
    close(tensor_gram.inner(fa, fb), torch.einsum("cij,dij->cd", a, b))
    close(tensor_gram.norm(fa), a.norm())
    close(tensor_gram.cosine(fa, fb), (a * b).sum() / (a.norm() * b.norm()))
    close(tensor_gram.cosine(fa, fa), torch.tensor(1.0).double())
    values, vectors = tensor_gram.output_spectrum(fa)
    u, s, _ = torch.linalg.svd(a.flatten(1), full_matrices=False)
    close(values, s)
    close((vectors * u.T).sum(1).abs(), torch.ones(3).double())


@torch.no_grad()
def test_spectrum_inside_the_span_of_few_factors(monkeypatch):
    """Over 50 inputs, 3 products have rank 6, and 40 products behind an embedding of width 4 have rank 4."""
    torch.manual_seed(0)
    direct = forms(Bilinear(50, 3).double(), torch.randn(2, 3))
    embedded = forms(Bilinear(4, 24).double(), torch.randn(2, 24), embed=torch.randn(4, 50))
    for of, rank in ((direct, 6), (embedded, 4)):
        values, vectors = spectrum(of)
        q = interactions(of)
        torch.testing.assert_close((vectors.mT * values[:, None]) @ vectors, q, rtol=0, atol=1e-10 * q.abs().max())
        torch.testing.assert_close(vectors @ vectors.mT, torch.eye(50).double().expand(2, 50, 50), rtol=0, atol=1e-10)
        assert values[:, :rank].all()
        assert not values[:, rank:].any()
    nothing = spectrum(direct._replace(left=0 * direct.left, right=0 * direct.right))
    assert not nothing.values.any()
    assert nothing.vectors.isfinite().all()


def test_gram_never_builds_the_tensor(monkeypatch):
    """300 outputs over 3000 inputs: the tensor would take 21 GB."""
    torch.manual_seed(0)
    layer, head = Bilinear(3000, 64), nn.Linear(64, 300, bias=False)
    of = as_forms(layer, head, None)
    monkeypatch.setattr("zoo.layers.bilinear.bilinear.interactions", None)
    left, right = layer.weight.detach().double().chunk(2)
    products = torch.einsum("md,nd->mn", left, left) * torch.einsum("md,nd->mn", right, right)
    swapped = torch.einsum("md,nd->mn", left, right)
    expected = torch.einsum("cm,mn,cn->", of.out, (products + swapped * swapped.T) / 2, of.out).sqrt()
    torch.testing.assert_close(tensor_gram.norm(of), expected)


def test_effective_rank():
    values = torch.tensor([[2.0, 0, 0, 0], [1, -1, 1, -1], [3, 1, 0, 0]]).double()
    assert effective_rank(values).tolist() == pytest.approx([1, 4, 1.6])
    assert float(effective_rank(torch.zeros(3))) == 0


@torch.no_grad()
@pytest.mark.parametrize(("bias", "embedded"), CASES)
def test_truncation_keeps_its_bound(bias, embedded):
    layer, head, embed = network(bias, embedded)
    whole = spectrum(forms(layer, head.weight, shift=head.bias))
    x = torch.randn(50, 5, dtype=torch.float64)
    x, logits = (x if embed is None else embed(x)), answer(x, layer, head, embed)
    long = with_one(x, whole.vectors.shape[2])
    last = whole.values.shape[1]
    for keep in (0, 1, 3, last, last + 4):
        result = truncate(x, whole, keep)
        by_hand = torch.zeros_like(logits)
        for c in range(3):
            for value, v in list(zip(whole.values[c], whole.vectors[c], strict=True))[:keep]:
                by_hand[:, c] += value * (long @ v).square()
        torch.testing.assert_close(result.outputs, by_hand, rtol=1e-10, atol=1e-10)
        assert ((result.outputs - logits).abs() <= result.bound + 1e-10).all()
        if keep < last:
            assert (result.bound <= whole.values[:, keep].abs() * long.square().sum(1, keepdim=True) + 1e-10).all()
            assert result.bound.max() > 0.1 * (result.outputs - logits).abs().max()
        else:
            assert not result.bound.any()


@torch.no_grad()
def test_selective():
    """Each mask excites its own eigenvector by 1 and no other one of the stack."""
    layer, head, _ = network(width=12, inputs=12)
    whole = spectrum(as_forms(layer, head, None))
    result = selective(whole, torch.eye(12).double(), top=2)
    assert result.shape == (3, 12)
    for c in range(3):
        for other in range(3):
            first = whole.vectors[other][whole.values[other] > 0][:2]  # by |value|, so by value among the positive
            expected = torch.tensor([float(c == other), 0.0]).double()
            torch.testing.assert_close(first @ result[c], expected, rtol=0, atol=1e-10)
    embed = torch.randn(12, 20, dtype=torch.float64)
    torch.testing.assert_close(selective(whole, embed, top=2), result @ embed)
    none = whole._replace(values=-whole.values.abs())
    assert selective(none, embed, top=2).shape == (0, 20)


@torch.no_grad()
def test_project():
    x, v = torch.randn(2, 3, 4), torch.randn(6, 5)
    torch.testing.assert_close(project(x, v), torch.cat([x, torch.ones(2, 3, 1)], 2) @ v.T)
    torch.testing.assert_close(project(x, v[:, :4]), x @ v[:, :4].T)


@torch.no_grad()
def test_masks_have_their_strength_and_sign():
    layer, head, embed = network(width=12, inputs=20, embedded=True)
    whole = spectrum(forms(layer, head.weight))
    mean = torch.randn(12, dtype=torch.float64)
    result, plain = masks(whole, embed.weight, mean, strength=0.3, top=2), selective(whole, embed.weight, 2)
    torch.testing.assert_close(result.std(1, correction=0), torch.full((3,), 0.3).double())
    for mask, direction in zip(result, plain, strict=True):
        assert (embed.weight @ mask) @ mean > 0
        assert abs(float(torch.cosine_similarity(mask, direction, dim=0))) == pytest.approx(1)


def test_shuffled():
    rows = torch.arange(12.0).reshape(2, 6)
    result = shuffled(rows, 3)
    assert result.shape == (6, 6)
    assert torch.equal(result, shuffled(rows, 3))
    assert torch.equal(result.sort().values, rows.repeat_interleave(3, 0))
    assert torch.equal(result[:3] + 6, result[3:])  # the same orders for every row
    assert len({tuple(row) for row in result[:3].tolist()}) == 3


def test_accuracy_beside():
    torch.manual_seed(0)
    state, y, added, head = torch.randn(300, 4), torch.arange(300) % 3, torch.randn(2, 4), torch.randn(4, 3)
    by_hand = [float(((state + a) @ head).argmax(1).eq(y).double().mean()) for a in added]
    assert accuracy_beside(added, lambda z: z @ head, state, y) == pytest.approx(sum(by_hand) / 2)
