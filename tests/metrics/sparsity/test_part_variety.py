import itertools
import math

import pytest
import torch
from worlds import Toy, batch

from zoo.metrics import PartVariety, Suite

OWNER = [0, 0, 0, 1, 1, 3]  # class 2 has no unit


def random_batch(n=40, k=3, p=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    y = torch.tensor([0, 1, 3])[torch.randint(0, 3, (n,), generator=g)]
    own = {c: [u for u, owner in enumerate(OWNER) if owner == c] for c in (0, 1, 3)}
    ids = torch.tensor([(own[int(c)] + [-1] * k)[:k] for c in y])
    return {
        "hits": torch.rand(n, k, p, generator=g) > 0.7,
        "visible": torch.rand(n, p, generator=g) > 0.3,
        "peaks": torch.randint(0, 100, (n, k, 2), generator=g),
        "unit_ids": ids,
        "gate": torch.rand(n, k, generator=g) > 0.2,
    }


@pytest.mark.parametrize("seed", range(5))
def test_against_loops(seed):
    rows = random_batch(seed=seed)
    score = PartVariety(6, 4, owner=OWNER)
    score.update(**rows)
    result = score.compute()
    best = []
    for u in range(6):
        rates = []
        for part in range(4):
            hit = shown = 0
            for i, slot in itertools.product(range(40), range(3)):
                if int(rows["unit_ids"][i, slot]) == u and rows["gate"][i, slot] and rows["visible"][i, part]:
                    shown += 1
                    hit += bool(rows["hits"][i, slot, part])
            rates.append(hit / shown if shown else 0.0)
        best.append(rates.index(max(rates)) if max(rates) > 0 else -1)
    assert result["unit/best_part"].tolist() == best
    different = [len({best[u] for u in range(6) if OWNER[u] == c} - {-1}) for c in (0, 1, 3)]
    assert float(result["part_variety"]) == pytest.approx(sum(different) / 3)
    assert float(result["units"]) == 2
    means = []
    for i in range(40):
        places = [
            rows["peaks"][i, slot].tolist()
            for slot in range(3)
            if int(rows["unit_ids"][i, slot]) >= 0 and rows["gate"][i, slot]
        ]
        pairs = [math.dist(a, b) for a, b in itertools.combinations(places, 2)]
        if pairs:
            means.append(sum(pairs) / len(pairs))
    assert float(result["distance"]) == pytest.approx(sum(means) / len(means))


def test_units_without_a_part_have_none():
    score = PartVariety(2, 2, owner=[0, 0])
    ids = torch.tensor([[0, 1]])
    score.update(torch.zeros(1, 2, 2).bool(), torch.ones(1, 2).bool(), torch.zeros(1, 2, 2), ids)
    assert score.compute()["unit/best_part"].tolist() == [-1, -1]
    assert float(score.compute()["part_variety"]) == 0


def test_the_owner_is_checked():
    for owner in ([0], [0, -1], [0.0, 1.0]):
        with pytest.raises(ValueError, match="owner"):
            PartVariety(2, 2, owner=owner)


@pytest.mark.parametrize("owned", [True, False])
def test_in_a_suite_with_its_control(owned):
    model = Toy(owned=owned)
    suite = Suite(["part_variety"], model.units, [f"part {i}" for i in range(5)], control=True)
    suite.update(model, batch())
    results = suite.compute()
    if not owned:
        assert results["part_variety"].note == "n/a: a prototype does not belong to one class"
        return
    assert 0 < results["part_variety"].value <= results["part_variety"].more["units"] == 2
    assert results["part_variety (random prototypes)"].more["distance"] > 0
