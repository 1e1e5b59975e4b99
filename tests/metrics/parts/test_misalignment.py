import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from worlds import Toy, batch, maps, take

from zoo.batch import Batch
from zoo.explanation import Explanation, Units, gather
from zoo.metrics import Misalignment, Suite
from zoo.metrics.perturbations.attack import attack, box, highest, outside
from zoo.metrics.perturbations.noise import chosen

SIDE = 64


class Blocks(nn.Module):
    """Prototypes that look at the mean of 8 x 8 blocks, and, if they leak, at the mean of the whole image as well."""

    def __init__(self, leak=0.0, owner=(0, 0, 1, 1)):
        super().__init__()
        self.leak, self.owner = leak, torch.tensor(owner)
        self.units = Units("prototype", [f"p{i}" for i in range(len(owner))], self.owner)
        self.weight = nn.Parameter(torch.tensor([1.0, 0.5, 0.9, 0.2])[: len(owner)])

    def explain(self, x, target=None, shown=10):
        blocks = F.avg_pool2d(x.mean(1, keepdim=True), 8)
        where = self.weight[:, None, None] * (1 + blocks + self.leak * x.mean((1, 2, 3))[:, None, None, None])
        strength = where.flatten(2).amax(2)
        logits = torch.stack([strength[:, self.owner == c].sum(1) for c in range(2)], 1)
        contribution = strength * (self.owner[None] == target[:, None])
        shown = contribution.argsort(dim=1, descending=True)[:, :shown] if isinstance(shown, int) else shown
        return Explanation(
            self.units, logits, target, strength, contribution, logits.new_zeros(len(x)), shown, gather(where, shown)
        )


def scenes(n=6):
    """Bright blocks somewhere, so that the strongest place is clear."""
    g = torch.Generator().manual_seed(0)
    x = 0.01 * torch.randn(n, 3, SIDE, SIDE, generator=g)
    for i in range(n):
        x[i, :, 8 * i : 8 * i + 8, 16:24] = 1
    return Batch(x, torch.arange(n) % 2, torch.arange(n))


def test_boxes_agree_with_numpy():
    evidence = maps("", (12, 7, 7), 1).double()
    evidence[0] = 1  # constant: all of it
    pixels = F.interpolate(evidence[:, None], size=(40, 30), mode="bicubic", align_corners=False)[:, 0].numpy()
    for i, (top, bottom, left, right) in enumerate(box(evidence, (40, 30)).tolist()):
        rows, columns = np.nonzero(pixels[i] >= np.percentile(pixels[i], 95))
        assert (top, bottom, left, right) == (rows.min(), rows.max(), columns.min(), columns.max())
        free = outside(evidence, (40, 30))[i, 0].numpy()
        y, x = np.nonzero(~free)
        tall, wide = 10 * 40 / 224, 10 * 30 / 224  # 1.8 and 1.3 pixels
        assert (y.min(), y.max()) == (max(0, np.ceil(top - tall)), min(39, np.floor(bottom + tall)))
        assert (x.min(), x.max()) == (max(0, np.ceil(left - wide)), min(29, np.floor(right + wide)))
    up = F.interpolate(evidence[:, None], size=(40, 30), mode="bilinear", align_corners=False)[:, 0]
    above = up > torch.quantile(up.flatten(1), 0.9, dim=1)[:, None, None]
    assert torch.equal(highest(evidence, (40, 30)), above)


def test_two_images_by_hand():
    """One loses a quarter and is overtaken by one rival; the other has no strength to lose."""
    score = Misalignment()
    before, after = torch.tensor([[4.0, 3.5, 5.0], [0.0, 1.0, 1.0]]), torch.tensor([[3.0, 3.5, 5.0], [0.0, 1.0, 1.0]])
    competitors = torch.tensor([[False, True, True], [False, True, True]])
    region = torch.zeros(2, 10, 10)
    region[:, 0, :4] = torch.arange(1.0, 5)
    there = region.flip(1).clone()
    there[1] = region[1]
    right = torch.tensor([True, False])
    score.update(
        before,
        after,
        torch.tensor([0, 0]),
        competitors,
        region,
        there,
        size=(10, 10),
        right_before=right,
        right_after=~right,
    )
    readouts = {k: float(v) for k, v in score.compute().items()}
    assert readouts["activation"] == 25  # of the one image with a strength
    assert readouts["undefined"] == 1
    assert readouts["ranking"] == 0.5
    assert readouts["location"] == 50  # nothing in common, and everything
    assert readouts["accuracy"] == 0
    assert readouts["support"] == 2
    assert score.protocol == "sacha2024-eps0.1"


@torch.no_grad()
def test_who_looks_where_it_says_is_untouched_and_who_leaks_is_not():
    """The mean over an image of which a share m may change by .1 falls by .1 m: exactly that of the strength."""
    sample_batch, results = scenes(), {}
    for leak in (0.0, 1.0):
        model = Blocks(leak)
        suite = Suite([{"score": "misalignment"}], model.units)
        suite.update(model, sample_batch)
        results[leak] = suite.compute()["misalignment"]
    assert results[0.0].value == 0
    assert results[0.0].more["location"] == 0
    explanation = Blocks(1.0).explain(sample_batch.x, target=sample_batch.y, shown=1)
    free = outside(explanation.where[:, 0], (SIDE, SIDE)).double().mean((1, 2, 3))
    drop = 0.1 * free * torch.tensor([1.0, 0.9] * 3) / explanation.strength.gather(1, explanation.shown)[:, 0]
    assert results[1.0].value == pytest.approx(100 * float(drop.mean()), rel=1e-4)
    assert results[1.0].more["box"] == pytest.approx(1 - float(free.mean()))
    assert results[1.0].support == 6


@torch.no_grad()
def test_the_interval_of_a_share_holds_the_drop():
    """Images that are not attacked add nothing, and replicates weigh those that are."""
    samples, model = scenes(8), Blocks(1.0)
    plain, sure = (
        Suite([{"score": "misalignment", "share": 0.7, "interval": interval}], model.units)
        for interval in (False, True)
    )
    for suite in (plain, sure):
        suite.update(model, samples)
    one, two = plain.compute()["misalignment"], sure.compute()["misalignment"]
    assert (one.value, one.support) == (two.value, two.support)
    assert one.support < 8
    assert two.more["activation low"] < one.value < two.more["activation high"]
    assert two.more["location low"] >= 0


def test_an_attack_stays_outside_and_within_reach_and_leaves_the_model():
    model, sample_batch = Blocks(1.0).train(), scenes()
    weight, x = model.weight.clone(), sample_batch.x.clone()
    explanation = model.explain(sample_batch.x, target=sample_batch.y, shown=1)
    mask = outside(explanation.where[:, 0], (SIDE, SIDE))
    with torch.inference_mode():
        after = attack(model, sample_batch.x, explanation.shown[:, 0], mask, target=sample_batch.y)
    assert float((after - x).abs().max()) == pytest.approx(0.1)
    assert not ((after != x) & ~mask).any()
    again = model.explain(after, target=sample_batch.y, shown=explanation.shown)
    assert (again.strength.gather(1, explanation.shown) < explanation.strength.gather(1, explanation.shown)).all()
    assert torch.equal(model.weight, weight)
    assert model.weight.grad is None
    assert torch.equal(sample_batch.x, x)
    assert model.training


@pytest.mark.parametrize("size", [1, 4])
def test_batches_do_not_matter(size):
    samples, results = batch(), []
    for step in (13, size):
        model = Toy()
        suite = Suite([{"score": "misalignment"}], model.units)
        for rows in torch.arange(13).split(step):
            suite.update(model, take(samples, rows))
        results.append(suite.compute()["misalignment"])
    assert results[0].value == pytest.approx(results[1].value, rel=1e-4)
    assert results[0].support == results[1].support == 13


def test_a_share_is_chosen_by_identity():
    index = torch.arange(5000)
    subset = chosen(index, 0.3)
    assert float(subset.double().mean()) == pytest.approx(0.3, abs=0.02)
    assert torch.equal(chosen(index[100:200], 0.3), subset[100:200])
    assert bool((chosen(index, 0.5) | ~subset).all())  # more contains less
    assert bool(chosen(index, 1.0).all())


def test_without_a_place_or_a_slope_there_is_no_attack():
    suite = Suite([{"score": "misalignment"}], Toy().units)
    suite.update(Toy(place=False), batch())
    assert suite.compute()["misalignment"].note == "n/a: the units have no place in an image"
    model = Blocks()
    explain = model.explain
    model.explain = lambda x, **how: explain(x.detach(), **how).detach()
    suite = Suite([{"score": "misalignment"}], model.units)
    suite.update(model, scenes())
    assert suite.compute()["misalignment"].value is None
    assert "no gradient" in suite.scores["misalignment"].why


@pytest.mark.parametrize("share", [0, 2, "all"])
def test_refuses_shares_that_mean_nothing(share):
    with pytest.raises(ValueError, match="share"):
        Misalignment(share=share)
