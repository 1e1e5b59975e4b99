"""Detectors against loops over positions and thresholds."""

import math

import pytest
import torch

from zoo.checkpoint import load
from zoo.data import create_data
from zoo.explanation import Units
from zoo.metrics import Detectors, Suite
from zoo.metrics.positions._detector_counts import at_recall_of, best_by_f1, best_by_precision, counts, judge
from zoo.metrics.positions._evaluator import PositionEvaluator
from zoo.sequence_spec import Family, Properties

N, U, P = 60, 7, 4
SHIPPED = {
    "precision": 0.9999173879623413,
    "recall": 0.7544474601745605,
    "neuron precision": 0.7282139488309621,
    "precision by F1": 0.9623228311538696,
    "recall by F1": 0.8137825727462769,
    "neuron precision by F1": 0.7138966076821088,
    "support": 100,
}


def known(truth, properties):
    """Properties ``(n, p)`` of their numbers ``(n,)``, -1 for none."""
    return torch.stack([truth == p for p in range(properties)], 1)


def test_counts_of_several_properties_at_a_position():
    g = torch.Generator().manual_seed(5)
    on, has = torch.rand(N, U, generator=g) < 0.3, torch.rand(N, P, generator=g) < 0.4
    both, unit, number = counts(on, has)
    assert both.tolist() == [[sum((on[:, u] & has[:, p]).tolist()) for u in range(U)] for p in range(P)]
    assert unit.tolist() == on.sum(0).tolist()
    assert number.tolist() == has.sum(0).tolist()


def test_counts_and_judgement():
    g = torch.Generator().manual_seed(0)
    on, truth = torch.rand(N, U, generator=g) < 0.3, torch.randint(-1, P, (N,), generator=g)
    confusion = counts(on, known(truth, P))
    best = best_by_f1(*confusion)
    result = judge(best, *confusion)
    for p in range(P):
        f1 = []
        for u in range(U):
            hit = sum(bool(on[i, u]) and int(truth[i]) == p for i in range(N))
            f1.append(2 * hit / (int(on[:, u].sum()) + int((truth == p).sum())))
        assert f1[int(best[p])] == max(f1)
        hit = int((on[:, best[p]] & (truth == p)).sum())
        assert abs(float(result.precision[p]) - hit / int(on[:, best[p]].sum())) < 1e-6
        assert abs(float(result.recall[p]) - hit / int((truth == p).sum())) < 1e-6


@pytest.mark.parametrize("ties", [False, True])
def test_at_recall(ties):
    g = torch.Generator().manual_seed(1)
    value, truth = torch.randn(N, U, generator=g), torch.randint(-1, P, (N,), generator=g)
    value = value.relu().round(decimals=1) if ties else value
    truth[truth == 3] = -1
    recall = torch.tensor([0.9, 0.5, 0.01, 0.9])
    measured = at_recall_of(value, known(truth, P))(recall)
    assert measured.shape == (P, 2 * U)
    assert measured[3].isnan().all()
    value = torch.cat([value, -value], 1)
    for p in range(3):
        for u in range(2 * U):
            own = value[truth == p, u]
            reach = max(1, math.ceil(float(recall[p]) * len(own) - 1e-6))
            threshold = own.sort(descending=True).values[reach - 1]
            detections = value[:, u] >= threshold
            assert abs(float(measured[p, u]) - int((detections & (truth == p)).sum()) / int(detections.sum())) < 1e-6


class Knowing:
    """Unit 3 is on exactly at 2, unit 5 at 0 and 7; hidden neurons are noise and the opposite of unit 3."""

    device, units = "cpu", Units("code", [f"u{i}" for i in range(U)], binary=True)
    capabilities = frozenset({"activity", "hidden_neurons"})

    def activity(self, x):
        on = torch.zeros(*x.shape, U)
        on[..., 3], on[..., 5] = (x == 2).float(), ((x == 0) | (x == 7)).float()
        return on

    def hidden(self, x):
        noise = torch.rand(*x.shape, 2, generator=torch.Generator().manual_seed(0))
        return torch.cat([noise, -(x == 2).float()[..., None]], -1)


def test_detectors():
    g = torch.Generator().manual_seed(3)
    x = {name: torch.randint(8, (20, 30), generator=g) for name in ("val", "test")}
    look = {name: torch.rand(v.shape, generator=g) < 0.9 for name, v in x.items()}

    def ask(split, count):
        truth = torch.where(x[split] == 2, 1, torch.where(x[split] == 0, 0, -1))
        return Properties(x[split], look[split], (Family("digits", truth[..., None], ("digit",), ("0", "2")),))

    score = Detectors()
    score.evaluate_positions(PositionEvaluator(Knowing(), ask))
    readouts = score.compute()
    scored = x["test"][look["test"]]
    share = float((scored == 0).sum() / ((scored == 0) | (scored == 7)).sum())
    assert float(readouts["precision"]) == pytest.approx((1 + share) / 2)
    assert float(readouts["recall"]) == 1
    noise = float((scored == 0).double().mean())
    assert float(readouts["neuron precision"]) == pytest.approx((1 + noise) / 2, abs=0.02)
    assert {f"{name} by F1" for name in ("precision", "recall", "neuron precision")} <= set(readouts)
    neurons = Knowing()
    neurons.units = Units("neuron", ["a", "b", "c"])
    alone = Detectors()
    alone.evaluate_positions(PositionEvaluator(neurons, ask))
    assert list(alone.compute()) == ["neuron precision", "support"]
    assert float(alone.compute()["neuron precision"]) == pytest.approx((1 + noise) / 2, abs=0.02)
    few = Detectors(max_properties=1)
    few.evaluate_positions(PositionEvaluator(Knowing(), ask))
    assert "more than 1 properties" in few.why
    suite = Suite([{"score": "detectors", "max_properties": 1}], Knowing().units, position_labels=ask)
    suite.evaluate_positions(Knowing())
    assert suite.compute()["detectors"].note.startswith("n/a: every family has more than 1 properties")


@pytest.mark.slow
def test_codes_of_the_shipped_checkpoint():
    """As they were when this read TokFSM alone; there, of equal activities of a neuron some did not count (0.7277)."""
    model, data = load("codebook_transformer-tokfsm"), create_data("tokfsm")
    score = Detectors()
    score.evaluate_positions(PositionEvaluator(model, data.position_labels))
    readouts = {key: float(value) for key, value in score.compute().items()}
    assert readouts == pytest.approx(SHIPPED, abs=1e-6)


def test_states_read():
    data = create_data("tokfsm", n_train=4, n_val=4, n_test=4)
    assert data.read_states(torch.tensor([[10, 4, 2, 0, 7, 1]])).tolist() == [[-1, -1, 42, -1, 7, -1]]


def test_best_by_precision():
    both = torch.tensor([[1.0, 50.0, 30.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    unit, has = torch.tensor([1.0, 60.0, 30.0, 9.0]), torch.tensor([200.0, 10.0])
    assert best_by_precision(both, unit, has).tolist()[0] == 2  # unit 0 is precise, but catches half a per cent
    assert best_by_precision(both, unit, has, min_recall=0.001).tolist()[0] == 2  # equally precise, and catches more
    assert best_by_f1(both, unit, has).tolist()[0] == 1
