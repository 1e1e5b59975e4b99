"""Triggers against counting by hand and against a loop over all endings."""

import torch

from zoo.evaluation.units.token_triggers import token_triggers


def test_by_hand():
    texts = [list("abab"), list("bbac")]
    where = torch.tensor(
        [
            [0, 1, 0],
            [0, 3, 0],
            [1, 0, 0],
            [1, 1, 0],  # unit 0: every b
            [0, 1, 2],
            [0, 3, 2],  # unit 2: b after a
            [0, 0, 3],
            [1, 1, 3],
        ]
    )  # unit 3: one a of three, one b of four
    result = token_triggers(texts, where, 4)
    assert set(result) == {0, 2, 3}
    assert (result[0].words, result[0].precision, result[0].recall, result[0].active) == ("b", 1, 1, 4)
    assert (result[2].words, result[2].precision, result[2].recall) == ("ab", 1, 1)
    assert result[3].words == "bb"  # precision 1/2, recall 1: F1 2/3
    assert str(result[2]) == "after “ab” (precision 1.00, recall 1.00, 2 times)"


def test_by_trying_all():
    g = torch.Generator().manual_seed(0)
    texts = [[("x", "y ", "\n")[i] for i in row] for row in torch.randint(3, (6, 20), generator=g).tolist()]
    texts = [row[: 20 - 3 * i] for i, row in enumerate(texts)]  # they need not be equally long
    real = torch.arange(20) < torch.tensor([[len(row)] for row in texts])
    on = (torch.rand(6, 20, 5, generator=g) < 0.3) & real[..., None]
    result = token_triggers(texts, on.nonzero(), 5)
    for unit in range(5):
        best = 0.0
        endings = {tuple(r[i - n + 1 : i + 1]) for r in texts for n in range(1, 5) for i in range(n - 1, len(r))}
        for words in endings:
            n = len(words)
            has = torch.tensor(
                [[n - 1 <= i < len(r) and tuple(r[i - n + 1 : i + 1]) == words for i in range(20)] for r in texts]
            )
            both = int((has & on[:, :, unit]).sum())
            best = max(best, 2 * both / int(has.sum() + on[:, :, unit].sum()))
        p, r = result[unit].precision, result[unit].recall
        assert abs(2 * p * r / (p + r) - best) < 1e-9
