"""Long rows in files: the same numbers as in memory, and nothing left on disk."""

import torch

from zoo import paths
from zoo.data import mapped_tensors
from zoo.data.mapped_tensors import long_row
from zoo.data.sampler import EpochSampler


def test_orders_are_those_in_memory(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    orders = []
    for limit in (10, 1 << 18):
        monkeypatch.setattr(mapped_tensors, "IN_MEMORY", limit)
        sampler = EpochSampler(1000, 7, shuffle=True, seed=3)
        sampler.set_epoch(2)
        orders.append(list(sampler))
    assert orders[0] == orders[1]
    assert sorted(index for batch in orders[0] for _, index in batch) == list(range(1000))


def test_a_row_in_a_file_has_no_name_left(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(mapped_tensors, "IN_MEMORY", 10)
    row = torch.arange(100, out=long_row(100))
    assert list((paths.cache() / "rows").iterdir()) == []
    row[50:] += 1
    assert row.tolist() == [*range(50), *range(51, 101)]
    assert long_row(5).shape == (5,)
