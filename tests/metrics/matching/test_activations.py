"""Units of several runs matched by their strengths: against numpy, streamed, merged, in two processes, by chance."""

import os
import socket
from itertools import permutations

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from zoo.metrics.matching.activations import Activations
from zoo.metrics.matching.assignment import average


def best_by_trying(table):
    """The largest sum over all one-to-one matchings."""
    table = table if len(table) <= len(table[0]) else [list(row) for row in zip(*table, strict=True)]
    return max(
        sum(row[c] for row, c in zip(table, chosen, strict=True))
        for chosen in permutations(range(len(table[0])), len(table))
    )


def strengths(n=40, sizes=(6, 4, 5), seed=0):
    """Units of three runs that see some of the same causes, of very different scale; the last of run 0 is dead."""
    g = torch.Generator().manual_seed(seed)
    causes = torch.randn(n, 8, generator=g, dtype=torch.float64)
    rows = [causes @ torch.randn(8, u, generator=g, dtype=torch.float64) * 10.0**i + 5 for i, u in enumerate(sizes)]
    rows[0][:, -1] = 0.1
    return [r.float() for r in rows], torch.arange(n) + 1000


def fed(rows, ids, *, batch=40, **more):
    score = Activations([r.shape[1] for r in rows], **more)
    for part in torch.arange(len(ids)).split(batch):
        score.update([r[part] for r in rows], ids[part], ids[part] % 3)
    return score


def same(a, b):
    """Two results of the metric, up to the last bits of float64 sums."""
    assert a == pytest.approx(b, abs=1e-10)


def test_correlations_against_numpy():
    rows, ids = strengths()
    score = fed(rows, ids)
    for i, j in score.pairs:
        with np.errstate(invalid="ignore"):
            full = np.corrcoef(rows[i].double().numpy().T, rows[j].double().numpy().T)
        expected = np.nan_to_num(full[: rows[i].shape[1], rows[i].shape[1] :])
        if i == 0:
            expected[-1] = 0  # dead
        np.testing.assert_allclose(score.similarity(i, j).numpy(), expected, atol=1e-9)
        result = score.matches()[i, j]
        assert float(result.similarity.sum()) == pytest.approx(best_by_trying(expected.tolist()), abs=1e-9)


def test_a_unit_that_never_changes_is_dead():
    """Also after so many samples that sums of its squares are rounded."""
    x = torch.full((100_000, 2), 0.1)
    x[:, 1] = torch.arange(len(x)) % 2
    score = fed([x, x.flip(1)], torch.arange(len(x)), batch=977, chance=False)
    assert score.matches()[0, 1].dead == (1, 1)
    assert score.similarity(0, 1).tolist() == [[0.0, 0.0], [pytest.approx(1.0), 0.0]]


def test_batches_order_scale_and_merging_do_not_matter():
    rows, ids = strengths()
    whole = fed(rows, ids)
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(1))
    for batch in (1, 7):
        same(fed(rows, ids, batch=batch).compute(), whole.compute())
    same(fed([r[order] for r in rows], ids[order], batch=9).compute(), whole.compute())
    same(fed([r.double() * 100 - 3 for r in rows], ids).compute(), whole.compute())
    parts_ = [fed([r[a:b] for r in rows], ids[a:b]) for a, b in ((25, 40), (0, 11), (11, 25))]
    parts_[0].merge_state(parts_[1])
    parts_[0].merge_state(parts_[2])
    same(parts_[0].compute(), whole.compute())


def test_bf16_is_taken_at_its_value_and_nothing_of_the_caller_changes():
    rows, ids = strengths()
    half = [r.bfloat16() for r in rows]
    before = [r.clone() for r in half]
    score = fed(half, ids)
    same(score.compute(), fed([r.double() for r in half], ids).compute())
    assert all(torch.equal(a, b) for a, b in zip(half, before, strict=True))
    value = average(score.matches().values())
    half[0].zero_()
    same(average(score.matches().values()), value)


def test_average_over_pairs_of_runs():
    rows, ids = strengths()
    score = fed(rows, ids)
    result = score.matches()
    assert list(result) == [(0, 1), (0, 2), (1, 2)]
    summaries = [m.summary() for m in result.values()]
    for key, value in average(result.values()).items():
        assert value == pytest.approx(sum(s[key] for s in summaries) / 3)
        assert float(score.compute()[key]) == pytest.approx(value)


def test_shuffled_samples_give_chance():
    """Unrelated runs match as well as shuffled ones do; a run matches its twin better."""
    g = torch.Generator().manual_seed(5)
    a, b = torch.randn(2, 60, 30, generator=g)
    ids = torch.arange(60)
    unrelated, twin = fed([a, b], ids).compute(), fed([a, a + 0.1 * b], ids).compute()
    assert unrelated["similarity"] == pytest.approx(unrelated["chance"], abs=0.02)
    assert unrelated["chance"] > 0.2
    assert twin["similarity"] > 0.98
    assert twin["chance"] == pytest.approx(unrelated["chance"], abs=0.02)
    without = fed([a, b], ids, chance=False)
    assert np.isnan(without.compute()["chance"])
    assert without.kept0 == []


def test_units_that_know_only_the_class_are_at_strict_chance():
    """Three runs respond to the class and to noise of their own: far above chance, not above that within classes."""
    g = torch.Generator().manual_seed(7)
    labels = torch.arange(120) % 6
    tuned = torch.nn.functional.one_hot(labels).float().repeat(1, 2) * 3
    a, b, noise = torch.randn(3, 120, 12, generator=g)
    score = Activations([12, 12])
    score.update([tuned + a, tuned + b], torch.arange(120), labels)
    readouts = score.compute()
    assert readouts["similarity"] > readouts["chance"] + 0.2
    assert readouts["similarity"] == pytest.approx(readouts["strict_chance"], abs=0.03)
    twins = Activations([12, 12])
    twins.update([tuned + a, tuned + a + 0.1 * noise], torch.arange(120), labels)
    assert twins.compute()["similarity"] > twins.compute()["strict_chance"] + 0.2


def test_shuffles_stay_within_classes():
    """Units that tell samples of one class apart not at all correlate as before."""
    labels = torch.tensor([2, 0, 1, 1, 0, 2, 2])
    x = torch.nn.functional.one_hot(labels, 3).double()
    score = Activations([3, 3])
    score.update([x, x], torch.arange(7), labels)
    assert score.compute()["strict_chance"] == pytest.approx(1.0)
    assert score.compute()["chance"] < 0.9
    without = Activations([3, 3])
    without.update([x, x], torch.arange(7))
    assert np.isnan(without.compute()["strict_chance"])


def test_wrong_input():
    with pytest.raises(ValueError, match="two or more runs"):
        Activations([3])
    with pytest.raises(ValueError, match="sizes is 0"):
        Activations([3, 0])
    score = Activations([3, 2])
    with pytest.raises(ValueError, match="no samples"):
        score.matches()
    for rows, words in (
        ([torch.zeros(4, 3)], "one for each of 2 runs"),
        ([torch.zeros(4, 3), torch.zeros(4, 3)], r"strengths\[1\] is \(4, 3\); expected \(4, 2\)"),
        ([torch.zeros(4, 3), torch.full((4, 2), torch.nan)], r"strengths\[1\] holds a number that is not finite"),
    ):
        with pytest.raises(ValueError, match=words):
            score.update(rows, torch.arange(4))


def test_correlation_by_hand():
    """(1, 2, 3) and (1, 0, 5): covariance 4 / 3, variances 2 / 3 and 14 / 3."""
    score = Activations([1, 2])
    score.update([torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[1.0, 1], [0, 2], [5, 0]])], torch.arange(3))
    assert score.similarity(0, 1).tolist()[0] == pytest.approx([4 / 28**0.5, -0.5])
    assert score.matches()[0, 1].right.tolist() == [0]
    assert score.compute()["support"] == 3


def test_no_samples_in_a_batch_change_nothing():
    rows, ids = strengths()
    score, other = fed(rows, ids), fed(rows, ids)
    score.update([r[:0] for r in rows], ids[:0], ids[:0])
    assert score.compute() == other.compute()


def test_a_seed_gives_the_same_chance_twice():
    rows, ids = strengths()
    assert fed(rows, ids).compute() == fed(rows, ids).compute()
    assert fed(rows, ids, seed=1).compute()["chance"] != fed(rows, ids).compute()["chance"]


def _worker(rank, port, path):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    rows, ids = strengths()
    shares = (ids[:0], ids), (ids[:13], ids[13:])  # the first time one process has seen nothing
    readouts = [fed([r[s - 1000] for r in rows], s).compute() for s in (share[rank] for share in shares)]
    torch.save(readouts, f"{path}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_agree_with_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(_worker, (port, str(tmp_path)), nprocs=2)
    whole = fed(*strengths()).compute()
    for rank in range(2):
        for loaded in torch.load(tmp_path / f"{rank}.pt"):
            same(loaded, whole)
