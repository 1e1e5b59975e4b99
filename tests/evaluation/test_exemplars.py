import math

import pytest
import torch

from zoo import create_data, create_model
from zoo.evaluation.exemplars import ExemplarConfidence, Exemplars


@pytest.fixture(scope="module")
def data():
    return create_data("toys", kind="xor", batch_size=32, limit=120)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return create_model("blackbox", num_classes=2, backbone="mlp", input_shape=[2], backbone_args={"hidden": [6]})


@torch.no_grad()
def test_against_loops(data, model):
    train, val, test = (data.samples(name, range(len(data.splits[name]))) for name in ("train", "val", "test"))
    exemplars = Exemplars(model, data.loader("train"))
    confidence = ExemplarConfidence(exemplars, data.loader("val"))
    answer = confidence(test.x)
    found = exemplars.neighbors(test.x, k=3)
    bank = model.encode(train.x)
    predicted = model(train.x).argmax(1)

    def distances(state):
        return [float((state - row).double().norm()) for row in bank]

    held_out = {
        c: [min(distances(s)) for s, y in zip(model.encode(val.x), val.y, strict=True) if y == c] for c in (0, 1)
    }
    for i, state in enumerate(model.encode(test.x)):
        every = distances(state)
        order = sorted(range(len(bank)), key=lambda n: every[n])
        assert found.distance[i].tolist() == pytest.approx([every[n] for n in order[:3]], abs=1e-6)
        assert found.y[i].tolist() == train.y[found.index[i]].tolist()
        assert found.predicted[i].tolist() == predicted[found.index[i]].tolist()
        logits = model(test.x)[i].tolist()
        top = logits.index(max(logits))
        q = 0
        while q < len(order) and int(train.y[order[q]]) == top == int(predicted[order[q]]):
            q += 1
        shares = [sum(d > every[order[0]] for d in values) / len(values) for values in held_out.values()]
        d = min(shares) if q else 0.0
        powers = [(2 + q) ** (d * z) for z in logits]
        assert int(answer.matches[i]) == q
        assert float(answer.quantile[i]) == pytest.approx(d, abs=0.05)  # of rounded distances, one sample may differ
        if math.isclose(float(answer.quantile[i]), d):
            assert answer.probabilities[i].tolist() == pytest.approx([p / sum(powers) for p in powers], rel=1e-4)
    torch.testing.assert_close(answer.probabilities.sum(1), torch.ones(len(test), dtype=torch.float64))


def test_a_training_sample_is_its_own_neighbor_and_nothing_changes(data, model):
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    exemplars = Exemplars(model, data.loader("train", batch_size=7))
    batch = data.samples("train", [5, 0, 17])
    nearest = exemplars.neighbors(batch.x, k=1)
    assert nearest.distance.max() < 1e-6  # batches of other sizes are rounded differently
    assert torch.equal(nearest.y[:, 0], batch.y)
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    model.eval()


@pytest.mark.parametrize("name", ["protopnet", "sdfa_sa", "prototree", "cbc"])
def test_prototype_models(name):
    images = create_data("digits", size=16, batch_size=20, limit=40)
    model = create_model(name, num_classes=10, backbone="resnet10t").eval()
    exemplars = Exemplars(model, images.loader("train"))
    assert exemplars.states.shape == (40, len(model.units))
    assert exemplars.neighbors(images.samples("train", [3]).x, k=40).distance.diff().min() >= 0


def test_what_is_refused(data, model):
    exemplars = Exemplars(model, data.loader("train"))
    with pytest.raises(ValueError, match="k is 0; expected 1 to"):
        exemplars.neighbors(torch.zeros(1, 2), k=0)
    with pytest.raises(ValueError, match="the loader is empty"):
        Exemplars(model, [])
    with pytest.raises(ValueError, match="no held-out samples"):
        ExemplarConfidence(exemplars, [])
