"""The codebook transformer: choices, interventions, where codes fired, starting from a dense model, learning."""

import pytest
import torch

from zoo import checkpoint, create_model
from zoo.batch import Batch
from zoo.phase import Phase

C, T, CODES = 11, 10, 6


def build(name="codebook_transformer", **args):
    torch.manual_seed(0)
    known = {"num_classes": C, "input_shape": [T], "width": 16, "heads": 2, "depth": 2, "hidden": 24}
    known |= {"codes": CODES} if name == "codebook_transformer" else {}
    model = create_model(name, **known | args).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def test_names():
    units = build(sites=["mlp", "mix"]).units
    assert len(units) == 2 * 3 * CODES
    assert [units.names[i] for i in (0, 7, 12, 18, 35)] == ["L0.H0.0", "L0.H1.1", "L0.M.0", "L1.H0.0", "L1.M.5"]


@torch.no_grad()
@pytest.mark.parametrize(("sites", "k"), [(["mix"], 1), (["mix", "mlp"], 3), (["attention"], 2)])
def test_codes_are_all_that_is_said(x, sites, k):
    """The logit rebuilt from the chosen codes alone: embedding, codes through their matrices, MLPs that are free."""
    model, target = build(sites=sites, k=k), torch.tensor([1, 2, 3, 4])
    e = model.explain(x, target)
    codebooks = 2 * sum(2 if site == "mix" else 1 for site in sites)
    assert (e.strength.sum(1) == codebooks * k).all()
    assert set(e.strength.unique().tolist()) == {0, 1}
    adds = {"mix": [], "attention": [], "mlp": []}
    recorder = model.codebooks.visit()

    def record(layer, place, value):
        value = recorder(layer, place, value)
        if place in adds:
            adds[place].append(value)
        return value

    state = model.encode(x)
    stream = model.finish_at(state, record)[0]
    direction = model.decoder.readout(stream, target)
    total = torch.zeros(4, dtype=torch.float64)
    for site in sites:
        for i, value in enumerate(adds[site]):
            value = model.decoder.blocks[i].attention.out(value[0].flatten(1)) if site == "mix" else value[0]
            total += (value * direction).sum(1)
    torch.testing.assert_close(e.contribution.sum(1), total, rtol=1e-9, atol=1e-10)


@torch.no_grad()
def test_where_is_where_it_fired(x):
    model = build(sites=["mix", "mlp"], k=2)
    u = len(model.units)
    e = model.explain(x, shown=torch.arange(u).expand(4, u))
    for i, row in enumerate(x.tolist()):
        tokens = [t for t in row if t >= 0]
        for n in range(1, len(tokens) + 1):
            assert torch.equal(e.where[i, :, n - 1], model.explain(torch.tensor([tokens[:n]])).strength[0])
        assert not e.where[i, :, len(tokens) :].any()
    every = model.activity(x)
    real = x >= 0
    assert torch.equal(every[real].double(), e.where.mT[real])
    codes = torch.tensor([3, 20])
    assert torch.equal(model.activity(x, codes)[real], every[..., codes][real])


@torch.no_grad()
def test_interventions(x):
    """A code switched off and another on, at the last position: as if the book had chosen so."""
    model = build(sites=["mix"], k=1)
    e = model.explain(x)
    for i in range(4):
        tokens = x[i][x[i] >= 0][None]
        on = e.strength[i, :CODES].argmax()
        other = (on + 1) % CODES

        def visit(layer, place, value, other=other):
            out = model.transform(layer, place, value)
            if (layer, place) == (0, "mix"):
                out = out.clone()
                out[:, -1, 0] = model.codebooks["0-mix"].codes[0, other]
            return out

        expected = model.decoder(tokens, visit)[0, -1]
        result = model.intervene(tokens, {int(on): 0.0, int(other): 1.0})[0]
        torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_the_cache_is_no_cache(x):
    model = build(sites=["mix", "mlp"], k=2)
    row = x[2][:4].tolist()
    fast = model.generate(x[2:3], 5, temperature=0)[0].tolist()
    for token in fast:
        assert token == int(model.position_logits(torch.tensor([row]))[0, -1].argmax())
        row.append(token)


@torch.no_grad()
def test_steering(x):
    """Each token as from a whole pass whose codes, from the prompt's last position on, are set by hand."""
    model = build(sites=["mix", "mlp"], k=2)
    overrides = {3: True, CODES + 1: False, 2 * CODES: True, 2 * CODES + 1: True, 2 * CODES + 5: False}
    places = {"mix": {0: ([3], []), 1: ([], [1])}, "mlp": {0: ([0, 1], [5])}}

    def by_hand(layer, place, value):
        out = model.transform(layer, place, value)
        if layer == 1 or place not in places:
            return out
        book, out = model.codebooks[f"0-{place}"], out.clone()
        ids = book(value if place == "mix" else value[..., None, :]).ids
        for at in range(3, value.shape[1]):
            for group, (on, off) in places[place].items():
                expected = {*ids[0, at, group].tolist(), *on} - {*off}
                total = torch.zeros(book.codes.shape[2], dtype=torch.float64)
                for code in expected:
                    total += book.codes[group, code] / 2
                (out[0, at, group] if place == "mix" else out[0, at]).copy_(total)
        return out

    row = x[2][:4].tolist()
    for token in model.steer(x[2:3], 6, overrides, temperature=0)[0].tolist():
        assert token == int(model.decoder(torch.tensor([row]), by_hand)[0, -1].argmax())
        row.append(token)
    assert torch.equal(model.steer(x, 1, {}, seed=1), model.generate(x, 1, seed=1))
    with pytest.raises(ValueError, match="unit 99 is not in the vocabulary"):
        model.steer(x, 1, {99: True})


@torch.no_grad()
def test_holding_is_setting(x):
    """At one position, a code held on or off has strength 1 or 0."""
    model, overrides = build(sites=["mix", "attention"], k=3), {3: True, 8: True, 20: False, 30: False, 33: True}
    expected = model.intervene(x, {unit: float(on) for unit, on in overrides.items()})
    result = model.decoder.read(model.finish_at(model.encode(x), model.holding(overrides)))[0]
    torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-10)


def test_starts_from_a_dense_model(x):
    """Every tensor but the codes is taken over; with nearly as many codes as vectors little but the norm is lost."""
    dense, model = build("dense_transformer"), build(codes=21)
    checkpoint.graft(model, dense, ["codebooks"])
    own = dense.state_dict()
    assert all(torch.equal(v, own[k]) for k, v in model.state_dict().items() if not k.startswith("codebooks"))
    before = model.position_logits(x).detach()
    model.start_codes([Batch(x, torch.zeros(4), torch.arange(4))], batches=1, rounds=3)
    wanted, real = dense.position_logits(x), x >= 0
    error = lambda result: (result - wanted)[real].square().mean()  # noqa: E731
    assert error(model.position_logits(x)) < 0.3 * error(before)


def test_learns_in_codes():
    """Counting modulo 5 through codebooks at heads and MLP; terms and hits are there."""
    torch.manual_seed(0)
    model = create_model(
        "codebook_transformer",
        num_classes=5,
        input_shape=[8],
        width=32,
        heads=2,
        depth=1,
        codes=20,
        sites=["mix", "mlp"],
        revive=10,
    )
    start = torch.arange(5)
    rows = (start[:, None] + torch.arange(9)) % 5
    batch = Batch(rows[:, :8], rows[:, 8], start)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(120):
        optimizer.zero_grad()
        terms = model.loss(batch, {"match": 1.0, "commit": 0.25})
        assert set(terms) == {"task", "match", "commit"}
        (terms["task"] + terms["match"] + 0.25 * terms["commit"]).backward()
        optimizer.step()
    assert model.eval().loss(batch, {})["task"] < 0.05
    assert model.generate(torch.tensor([[3]]), 7, temperature=0).tolist() == [[4, 0, 1, 2, 3, 4, 0]]


def test_revives_only_where_codes_learn():
    model = build(revive=10)
    model.configure_phase(Phase(lr={"codebooks": 1.0}))
    assert [c.every for c in model.configure_callbacks()] == [10]
    model.configure_phase(Phase(lr={"head": 1.0}))
    assert model.configure_callbacks() == []
    assert build().configure_callbacks() == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"sites": ["mix", "mix"]}, "sites is"),
        ({"sites": []}, "sites is"),
        ({"k": 7}, "k is 7"),
        ({"revive": -1}, "revive is -1"),
        ({"codes": 0}, "codes is 0"),
        ({"num_classes": None}, "size of the vocabulary"),
    ],
)
def test_wrong_arguments(args, words):
    with pytest.raises(ValueError, match=words):
        build(**args)
