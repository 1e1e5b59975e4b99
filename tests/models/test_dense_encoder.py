"""The reference on sequences: what stands behind the end or far away in the batch does not matter; it learns."""

import pytest
import torch

from zoo import checkpoint, create_model
from zoo.batch import Batch
from zoo.data import create_data
from zoo.layers.transformer.encoder import Encoder
from zoo.programs.learn.word_vectors import word_vectors
from zoo.training.run import build, load_config

SEQUENCE = {"tokens": list("abcdef"), "length": 7}


def encoder(**args):
    torch.manual_seed(0)
    return create_model("dense_encoder", num_classes=3, sequence=SEQUENCE, width=16, depth=2, heads=2, **args).eval()


def test_padding_is_not_seen():
    torch.manual_seed(0)
    net = Encoder(6, 9, width=16, depth=2, heads=4).eval()
    codes = torch.tensor([[1, 2, 3, -1, -1], [4, 5, 0, 1, 2]])
    alone = net(codes[:1, :3])
    torch.testing.assert_close(net(codes)[:1, :3], alone)
    longer = torch.nn.functional.pad(codes, (0, 3), value=-1)
    torch.testing.assert_close(net(longer)[:, :5][codes >= 0], net(codes)[codes >= 0])


def test_who_sees_whom():
    torch.manual_seed(0)
    for causal in (False, True):
        net = Encoder(6, 9, width=16, depth=2, heads=4, causal=causal).eval()
        one, two = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[1, 2, 3, 5]])
        changed = (net(one) - net(two)).abs().amax(2)[0] > 1e-4
        assert changed.tolist() == [not causal] * 3 + [True]


def test_order_matters():
    torch.manual_seed(0)
    net = Encoder(6, 9, width=16, depth=2, heads=4).eval()
    there, back = (net(torch.tensor([row])).mean(1) for row in ([1, 2, 3], [3, 2, 1]))
    assert (there - back).abs().max() > 1e-3


def test_questions_about_one_sequence():
    model = encoder()
    codes = torch.tensor([[0, 1, 2, 3, -1, -1, -1], [5, 4, -1, -1, -1, -1, -1]])
    x = torch.cat([torch.tensor([[0], [3], [1]]), codes[[0, 0, 1]]], 1)
    stream = model.encoder(codes)
    torch.testing.assert_close(model(x), model.head(torch.stack([stream[0, 0], stream[0, 3], stream[1, 1]])))
    pooled = encoder(pooled=True)
    mean = torch.stack([pooled.encoder(codes)[0, :4].mean(0), pooled.encoder(codes)[1, :2].mean(0)])
    torch.testing.assert_close(pooled(codes), pooled.head(mean))
    with pytest.raises(ValueError, match="expected positions inside their sequences"):
        model(torch.tensor([[4, 0, 1, 2, 3, -1, -1, -1]]))
    assert len(model.units) == 0
    assert set(model.trainable_parts()) == {"embed", "blocks", "norm", "head"}
    assert {model.part_of(name) for name in model.state_dict()} == set(model.trainable_parts())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"width": 18, "heads": 2, "depth": 1}, "multiple of twice"),
        ({"depth": 0}, "depth is 0"),
        ({"sequence": None}, "expected labeled sequences"),
    ],
)
def test_wrong_sizes(args, message):
    with pytest.raises(ValueError, match=message):
        create_model("dense_encoder", **{"num_classes": 3, "sequence": SEQUENCE} | args)


def test_words_begin_as_those_of_a_program():
    data = create_data("rasp", task="hist", size=300)
    sequence = data.sequence.to_config() | {"classes": list(data.class_names)}
    model = create_model("dense_encoder", num_classes=data.num_classes, sequence=sequence, width=32, depth=1, heads=2)
    result = model.embed(data.loader("train"), size=0.25)
    assert result == {"words": len(data.sequence.tokens)}
    weight = model.encoder.embed.weight
    torch.testing.assert_close(weight.std(0), torch.full((32,), 0.25))
    x = data.splits["train"].x[:, 1:].unique(dim=0)
    vectors = word_vectors(x, len(data.sequence.tokens))
    centred = vectors - vectors.mean(0)  # every column is a direction among the words' properties
    fit = centred @ torch.linalg.lstsq(centred, weight.detach()).solution
    torch.testing.assert_close(fit, weight.detach(), rtol=0, atol=1e-3)


@pytest.mark.slow
def test_a_large_vocabulary_comes_back(tmp_path):
    """A vocabulary stands in the config of a run: more entries than OmegaConf reads unasked."""
    sequence = {"tokens": [f"word{i}" for i in range(12_000)], "length": 5, "classes": ["a", "b"]}
    args = {"name": "dense_encoder", "num_classes": 2, "sequence": sequence, "width": 4, "depth": 1, "heads": 1}
    model = create_model(**args).eval()
    folder = checkpoint.save(tmp_path / "big", model, config={"model": args, "data": {}}, metrics={}, card="")
    again = checkpoint.load(str(folder))
    x = torch.tensor([[1, 11_999, 5, 3, -1, -1]])
    torch.testing.assert_close(again(x), model(x), rtol=0, atol=0)


@pytest.mark.slow
def test_it_learns():
    config = load_config("dense_encoder/hist", [])
    model, data = build(config)
    batch = next(iter(data.loader("train", batch_size=400)))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    first = float(model.loss(batch, {})["task"])
    for _ in range(60):
        optimizer.zero_grad()
        loss = model.loss(batch, {})["task"]
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.5 * first
    model.eval()
    result = model.extra_metrics([batch])
    assert result["sequence accuracy"] <= 1
    assert isinstance(batch, Batch)
