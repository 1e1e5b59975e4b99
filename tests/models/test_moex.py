"""MoE-X and its ablation: what a neuron adds, interventions, starting from a dense model, balance, what is used."""

import math

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from zoo import checkpoint, create_model
from zoo.batch import Batch
from zoo.layers.moe.routing import choose
from zoo.layers.transformer.neuron_units import PlaceRecorder

C, T, M, H = 11, 10, 4, 12
BOTH = pytest.mark.parametrize("name", ["moex", "switch_transformer"])


def build(name="moex", **args):
    torch.manual_seed(0)
    known = {"num_classes": C, "input_shape": [T], "width": 16, "heads": 2, "depth": 2, "hidden": H}
    known |= {} if name == "dense_transformer" else {"experts": M, "k": 2}
    model = create_model(name, **known | args).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture
def batch(x):
    return Batch(x, torch.tensor([1, 2, 3, 4]), torch.arange(4))


def test_names():
    units = build(experts=3, hidden=5).units
    assert units.kind == "neuron"
    assert len(units) == 2 * 3 * 5
    assert [units.names[i] for i in (0, 7, 15, 29)] == ["L0.E0.0", "L0.E1.2", "L1.E0.0", "L1.E2.4"]


@torch.no_grad()
@BOTH
def test_neurons_and_the_rest_sum_to_the_logit(x, name):
    model, target = build(name), torch.tensor([0, 3, 10, 7])
    result, e = model.components(x, target), model.explain(x, target)
    at = model(x).gather(1, target[:, None])[:, 0]
    torch.testing.assert_close(sum(result.values()), at, rtol=1e-10, atol=1e-10)
    for i in range(2):
        own = e.contribution[:, M * H * i : M * H * (i + 1)].sum(1)
        torch.testing.assert_close(own, result[f"L{i}.MLP"], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(e.base, sum(v for k, v in result.items() if "MLP" not in k), rtol=1e-9, atol=1e-10)


@torch.no_grad()
@BOTH
def test_strength_is_activation_times_gate(x, name):
    """By hand from what each MLP reads: what is not routed is 0, the rest its expert's hidden units times its gate."""
    model, recorder = build(name), PlaceRecorder("route", "mlp")
    state, read = model.encode(x), []
    hooks = [b.mlp.register_forward_pre_hook(lambda _, args: read.append(args[0][0])) for b in model.decoder.blocks]
    model.finish_at(state, recorder)
    for hook in hooks:
        hook.remove()
    e = model.explain(x, shown=2 * M * H)
    activate = torch.relu if name == "moex" else torch.nn.functional.gelu
    for layer, block in enumerate(model.decoder.blocks):
        ids, gate = choose(recorder.values["route"][layer][0], 2)
        strength = e.strength[:, layer * M * H : (layer + 1) * M * H].unflatten(1, (M, H))
        for row in range(4):
            for expert in range(M):
                share = float((gate[row] * (ids[row] == expert)).sum())
                expected = share * activate(read[layer][row] @ block.mlp.inner[expert])
                torch.testing.assert_close(strength[row, expert], expected, rtol=1e-9, atol=1e-10)
                assert (expert in ids[row].tolist()) == bool(strength[row, expert].any())
        mlp = torch.einsum("bem,emd->bd", strength, block.mlp.out)
        torch.testing.assert_close(mlp, recorder.values["mlp"][layer][0], rtol=1e-10, atol=1e-10)
    last = e.where.gather(2, state[1][:, None, None].expand(-1, 2 * M * H, 1))[:, :, 0]
    torch.testing.assert_close(last, e.strength.gather(1, e.shown), rtol=1e-8, atol=1e-9)


@torch.no_grad()
@BOTH
def test_setting_a_neuron_moves_what_follows(x, name):
    """As if the network had found it, whether its expert was chosen or not: a whole pass with that one number set."""
    model = build(name)
    for unit, value in ((5, 2.5), (3 * H + 1, 1.5), (M * H + 2, 0.0)):
        result = model.intervene(x, {unit: value})
        for i in range(4):
            tokens = x[i][x[i] >= 0][None]

            def visit(layer, place, v, unit=unit, value=value):
                if place == "hidden" and layer == unit // (M * H):
                    v = v.clone()
                    v[:, -1, unit % (M * H)] = value
                return v

            torch.testing.assert_close(result[i], model.decoder(tokens, visit)[0, -1], rtol=1e-9, atol=1e-9)
        if value:
            assert not torch.allclose(result, model(x))


@torch.no_grad()
def test_steering(x):
    """Held from the last position of the prompt on, each token as from a whole pass with the same numbers set."""
    model, overrides, row = build(), {2: 3.0, M * H + 7: 2.0}, x[2][:4].tolist()

    def visit(layer, place, v):
        if place == "hidden":
            v = v.clone()
            v[:, 3:, {0: 2, 1: 7}[layer]] = {0: 3.0, 1: 2.0}[layer]
        return v

    for token in model.steer(x[2:3], 6, overrides, temperature=0)[0].tolist():
        assert token == int(model.decoder(torch.tensor([row]), visit)[0, -1].argmax())
        row.append(token)
    assert torch.equal(model.steer(x[2:3], 2, {}, seed=1), model.generate(x[2:3], 2, seed=1))
    with pytest.raises(ValueError, match="unit 96 is not in the vocabulary"):
        model.steer(x, 1, {96: 1.0})


@torch.no_grad()
@BOTH
@pytest.mark.parametrize("k", [1, 2, 3])
def test_starts_as_the_dense_model(batch, name, k):
    """Every expert is a copy rescaled by a positive number per ReLU unit, which does not change the output."""
    if (name, k) == ("switch_transformer", 1):
        return  # its one gate is below 1
    args = {"mlp": "relu"} if name == "switch_transformer" else {}
    dense, model = build("dense_transformer", mlp="relu"), build(name, k=k, **args)
    checkpoint.graft(model, dense, [])
    wanted, real = dense.position_logits(batch.x), batch.x >= 0
    torch.testing.assert_close(model.position_logits(batch.x)[real], wanted[real], rtol=1e-10, atol=1e-10)
    if name == "moex":
        recorder = PlaceRecorder("route")
        model.decoder(batch.x.clamp_min(0), recorder)
        assert all((score - score[..., :1]).abs().max() < 1e-12 for score in recorder.values["route"])  # they tie
        result = model.diverge([batch], spread=0.5)
        assert 0 <= result["least"] <= 1 / M <= result["most"] <= 1
        torch.testing.assert_close(model.position_logits(batch.x)[real], wanted[real], rtol=1e-10, atol=1e-10)
        recorder = PlaceRecorder("route")
        model.decoder(batch.x.clamp_min(0), recorder)
        assert all(score[real].argmax(-1).unique().numel() > 1 for score in recorder.values["route"])


def test_refuses_another_start():
    for args, source, words in (
        ({"hidden": 6}, {"mlp": "relu"}, "has 12 hidden units and each expert 6; .* set model.hidden=12"),
        ({}, {"mlp": "gelu"}, "the source's MLPs are gelu, the experts relu"),
        ({"width": 32}, {"mlp": "relu"}, r"mlp.inner.weight is of width 16, the experts of 32"),
        ({}, {"mlp": "relu", "depth": 1}, "source has no tensor decoder.blocks.1"),
    ):
        with pytest.raises(ValueError, match=words):
            checkpoint.graft(build(**args), build("dense_transformer", **source), [])
    with pytest.raises(ValueError, match="spread is -1"):
        build().diverge([], spread=-1)
    switch, dense = build("switch_transformer"), build("dense_transformer", mlp="swiglu")
    checkpoint.graft(switch, dense, ["blocks"])  # with other blocks any dense model will do
    assert torch.equal(switch.decoder.embed.weight, dense.decoder.embed.weight)
    switch = build("switch_transformer")  # and from one of its own kind all is taken over, routers too
    checkpoint.graft(switch, other := build("switch_transformer").requires_grad_(False).float().double(), [])
    assert all(torch.equal(v, other.state_dict()[k]) for k, v in switch.state_dict().items())


def test_loss_counts_real_positions_only(batch):
    model, x = build(), batch.x
    terms = model.loss(batch, {})
    recorder = PlaceRecorder("route")
    model.decoder(x.clamp_min(0), recorder)
    each = []
    for score in recorder.values["route"]:
        rows = [score[i, t].softmax(-1) for i in range(4) for t in range(T) if x[i, t] >= 0]
        used = torch.zeros(M, dtype=torch.float64)
        for row in rows:
            used[row.topk(2).indices] += 0.5 / len(rows)
        each.append(M * (used * sum(rows) / len(rows)).sum())
    assert list(terms) == ["task", "balance"]
    torch.testing.assert_close(terms["balance"], sum(each) / 2, rtol=1e-9, atol=1e-9)
    alone = [
        model.loss(Batch(x[i : i + 1, : int((x[i] >= 0).sum())], batch.y[i : i + 1], torch.tensor([i])), {})
        for i in range(4)
    ]
    count = (x >= 0).sum(1)
    expected = sum(one["task"] * n for one, n in zip(alone, count, strict=True)) / count.sum()
    torch.testing.assert_close(terms["task"], expected, rtol=1e-9, atol=1e-9)


@BOTH
def test_learns_what_follows_and_logs_what_is_used(name):
    """Counting modulo 5 through experts, by Lightning's own loop."""
    torch.manual_seed(0)
    args = {"width": 32, "heads": 2, "depth": 1, "experts": 3, "hidden": 16}
    model = create_model(name, num_classes=5, input_shape=[8], **args)
    start = torch.arange(5)
    rows = (start[:, None] + torch.arange(9)) % 5
    batch = Batch(rows[:, :8], rows[:, 8], start)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    first = model.loss(batch, {})
    assert abs(float(first["task"].detach()) - math.log(5)) < 1e-5
    for _ in range(60):
        optimizer.zero_grad()
        terms = model.loss(batch, {})
        (terms["task"] + 0.01 * terms["balance"]).backward()
        optimizer.step()
    assert model.loss(batch, {})["task"] < 0.02
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    logged = trainer.validate(model, DataLoader([batch], batch_size=None), verbose=False)[0]
    model.eval()
    hidden = model.activity(batch.x)
    dead = (hidden <= 0).all(0).all(0)
    assert logged["val/dead"] == pytest.approx(float(dead.double().mean()))
    for e in range(3):
        own = float(dead[16 * e : 16 * (e + 1)].double().mean())
        assert logged[f"val/dead.L0.E{e}"] == pytest.approx(own)
    assert sum(logged[f"val/load.L0.E{e}"] for e in range(3)) == pytest.approx(1)
    result = model.extra_metrics([batch, batch])
    assert result["dead neurons of the worst expert"] == pytest.approx(
        max(float(d.double().mean()) for d in dead.split(16))
    )
    assert 0 <= result["least load of an expert"] <= 1 / 3 <= result["largest load of an expert"] <= 1
    assert model.generate(torch.tensor([[3]]), 7, temperature=0).tolist() == [[4, 0, 1, 2, 3, 4, 0]]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"k": 5}, "k is 5"),
        ({"hidden": -1}, "hidden is -1"),
        ({"num_classes": None}, "size of the vocabulary"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"gate_form": "erf"}, "expected one of .'neg_erf"),
    ],
)
def test_wrong_arguments(args, words):
    with pytest.raises(ValueError, match=words):
        build(**args)
