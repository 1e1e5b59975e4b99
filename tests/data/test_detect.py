"""Detectors against loops over positions and thresholds."""

import math

import torch

from zoo.data import create_data
from zoo.data.detect import at_recall_of, best_by_f1, best_by_precision, counts, judge

N, U, P = 60, 7, 4


def test_counts_and_judgement():
    g = torch.Generator().manual_seed(0)
    on, truth = torch.rand(N, U, generator=g) < 0.3, torch.randint(-1, P, (N,), generator=g)
    told = counts(on, truth, P)
    best = best_by_f1(*told)
    found = judge(best, *told)
    for p in range(P):
        f1 = []
        for u in range(U):
            hit = sum(bool(on[i, u]) and int(truth[i]) == p for i in range(N))
            f1.append(2 * hit / (int(on[:, u].sum()) + int((truth == p).sum())))
        assert f1[int(best[p])] == max(f1)
        hit = int((on[:, best[p]] & (truth == p)).sum())
        assert abs(float(found.precision[p]) - hit / int(on[:, best[p]].sum())) < 1e-6
        assert abs(float(found.recall[p]) - hit / int((truth == p).sum())) < 1e-6


def test_at_recall():
    g = torch.Generator().manual_seed(1)
    value, truth = torch.randn(N, U, generator=g), torch.randint(-1, P, (N,), generator=g)
    truth[truth == 3] = -1
    recall = torch.tensor([0.9, 0.5, 0.01, 0.9])
    told = at_recall_of(value, truth)(recall)
    assert told[3].isnan().all()
    for p in range(3):
        for u in range(U):
            own = value[truth == p, u]
            reach = max(1, math.ceil(float(recall[p]) * len(own) - 1e-6))
            threshold = own.sort(descending=True).values[reach - 1]
            alarms = value[:, u] >= threshold
            assert abs(float(told[p, u]) - int((alarms & (truth == p)).sum()) / int(alarms.sum())) < 1e-6


def test_states_read():
    data = create_data("tokfsm", n_train=4, n_val=4, n_test=4)
    assert data.read_states(torch.tensor([[10, 4, 2, 0, 7, 1]])).tolist() == [[-1, -1, 42, -1, 7, -1]]


def test_best_by_precision():
    both = torch.tensor([[1.0, 50.0, 30.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    unit, has = torch.tensor([1.0, 60.0, 30.0, 9.0]), torch.tensor([200.0, 10.0])
    assert best_by_precision(both, unit, has).tolist()[0] == 2  # unit 0 is precise, but catches half a per cent
    assert best_by_precision(both, unit, has, least=0.001).tolist()[0] == 2  # equally precise, and catches more
    assert best_by_f1(both, unit, has).tolist()[0] == 1
