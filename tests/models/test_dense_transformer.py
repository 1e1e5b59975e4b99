"""The dense transformer: every component's share of a logit, interventions, and learning."""

import pytest
import torch

from zoo import create_model
from zoo.batch import Batch

C, T = 11, 10


def build(**args):
    torch.manual_seed(0)
    known = {"num_classes": C, "input_shape": [T], "width": 16, "heads": 2, "depth": 2, "hidden": 24}
    model = create_model("dense_transformer", **known | args).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@torch.no_grad()
@pytest.mark.parametrize("mlp", ["relu", "gelu", "swiglu"])
def test_components_sum_to_the_logit(x, mlp):
    model, target = build(mlp=mlp), torch.tensor([0, 3, 10, 7])
    result, e = model.components(x, target), model.explain(x, target)
    assert list(result) == ["embedding", "L0.H0", "L0.H1", "L0.MLP", "L1.H0", "L1.H1", "L1.MLP"]
    at = model(x).gather(1, target[:, None])[:, 0]
    torch.testing.assert_close(sum(result.values()), at, rtol=1e-10, atol=1e-10)
    for i in range(2):
        own = e.contribution[:, 24 * i : 24 * (i + 1)].sum(1)
        torch.testing.assert_close(own, result[f"L{i}.MLP"], rtol=1e-10, atol=1e-10)
    # the base is no remainder: it is embedding and heads
    torch.testing.assert_close(e.base, sum(v for k, v in result.items() if "MLP" not in k), rtol=1e-9, atol=1e-10)


@torch.no_grad()
def test_contribution_is_the_change_with_the_scale_held(x):
    """Taking a neuron's write out of the stream of the last layer, with the norm as it was, takes out its share."""
    model, target = build(depth=1), torch.tensor([1, 2, 3, 4])
    e = model.explain(x, target, shown=24)
    stream, state = model.begin_at(x, model.transform)
    last = stream[torch.arange(4), state[1]]
    size = (last.square().mean(1, keepdim=True) + 1e-6).sqrt()
    for unit in (0, 7, 23):
        write = e.strength[:, unit, None] * model.decoder.blocks[0].mlp.out.weight[:, unit]
        without = model.decoder.head((last - write) / size * model.decoder.norm.weight)
        change = (model(x) - without).gather(1, target[:, None])[:, 0]
        torch.testing.assert_close(e.contribution[:, unit], change, rtol=1e-9, atol=1e-10)


@torch.no_grad()
def test_where_is_the_activation_everywhere(x):
    model = build()
    e = model.explain(x, shown=torch.tensor([[3, 30, -1]] * 4))
    for i, row in enumerate(x.tolist()):
        tokens = [t for t in row if t >= 0]
        for n in range(1, len(tokens) + 1):
            prefix = model.explain(torch.tensor([tokens[:n]]))
            torch.testing.assert_close(e.where[i, :2, n - 1], prefix.strength[0, [3, 30]], rtol=1e-8, atol=1e-9)
        assert not e.where[i, :, len(tokens) :].any()
        assert not e.where[i, 2].any()


@torch.no_grad()
def test_setting_a_neuron_moves_what_follows(x):
    """An activation that is set acts as if the network had found it: a whole pass with that one number replaced."""
    model = build(depth=2)
    unit, value = 5, 2.5
    result = model.intervene(x, {unit: value})
    for i in range(4):
        tokens = x[i][x[i] >= 0][None]
        pin = torch.tensor(value, dtype=torch.float64)

        def visit(layer, place, v, pin=pin):
            if layer == 0 and place == "hidden":
                v = v.clone()
                v[:, -1, unit] = pin
            return v

        logits = model.decoder(tokens, visit)[0, -1]
        torch.testing.assert_close(result[i], logits, rtol=1e-9, atol=1e-9)


def test_learns_what_follows():
    """Counting modulo 5 is learnt to certainty; every position counts."""
    model = create_model("dense_transformer", num_classes=5, input_shape=[8], width=32, heads=2, depth=1)
    start = torch.arange(5)
    rows = (start[:, None] + torch.arange(9)) % 5
    batch = Batch(rows[:, :8], rows[:, 8], start)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    first = float(model.loss(batch, {})["task"].detach())
    for _ in range(40):
        optimizer.zero_grad()
        model.loss(batch, {})["task"].backward()
        optimizer.step()
    assert abs(first - torch.tensor(5.0).log()) < 1e-5
    assert model.loss(batch, {})["task"] < 0.02
    model.eval()
    assert model.generate(torch.tensor([[3]]), 7, temperature=0).tolist() == [[4, 0, 1, 2, 3, 4, 0]]


def test_loss_is_over_real_positions_only(x):
    model, y = build(), torch.tensor([1, 2, 3, 4])
    whole, n = 0.0, 0
    for row, last in zip(x.tolist(), y.tolist(), strict=True):
        tokens = [t for t in row if t >= 0]
        logits = model.position_logits(torch.tensor([tokens]))[0].log_softmax(1)
        for at, following in enumerate([*tokens[1:], last]):
            whole, n = whole - logits[at, following], n + 1
    torch.testing.assert_close(model.loss(Batch(x, y, torch.arange(4)), {})["task"], whole / n)


@pytest.mark.parametrize("args", [{"num_classes": None}, {"input_shape": None}, {"input_shape": [3, 8, 8]}])
def test_needs_to_know_the_data(args):
    with pytest.raises(ValueError, match="the size of the vocabulary and"):
        create_model("dense_transformer", **{"num_classes": C, "input_shape": [T]} | args)
