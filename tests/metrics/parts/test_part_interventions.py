import itertools

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import nn
from worlds import Toy, maps

from zoo.batch import Batch
from zoo.data.images.shapes import Shapes
from zoo.explanation import Explanation, Units, gather
from zoo.metrics import PartInterventions, Suite
from zoo.metrics.parts._counterfactual_scenes import answers, probe
from zoo.metrics.parts._part_importance import contrast_classes, important_parts, part_shares
from zoo.metrics.perturbations.attack import box
from zoo.metrics.record_batch import record_batch

pytestmark = pytest.mark.filterwarnings("ignore:The ``compute`` method")
SIDE, PARTS = 32, 4
SAME = torch.tensor([[[True] * 4, [True, True, False, False], [False, False, True, True]]]).expand(3, 3, 4)


class Quarters:
    """Scenes of four bright quarters, one for each part; a part that is left out is black."""

    same = SAME

    def __init__(self, n=8):
        self.bright = 1 + torch.rand(n, PARTS, generator=torch.Generator().manual_seed(0))
        self.made = []

    def render(self, index, without=()):
        self.made.append((index, tuple(without)))
        left = self.bright[index].clone()
        left[list(without)] = 0
        return left.view(1, 2, 2).repeat_interleave(SIDE // 2, 1).repeat_interleave(SIDE // 2, 2).expand(3, -1, -1)

    def masks(self, index):
        return torch.eye(PARTS).view(PARTS, 2, 2).bool().repeat_interleave(16, 1).repeat_interleave(16, 2)

    def batch(self):
        x = torch.stack([self.render(i) for i in range(len(self.bright))])
        self.made.clear()
        return Batch(x, torch.zeros(len(x), dtype=torch.int64), torch.arange(len(x)))


class Reader(nn.Module):
    """Logits that are weighted sums of the four quarters, and units that say so, or say it of other quarters."""

    def __init__(self, weight, turn=0):
        super().__init__()
        self.weight, self.turn = nn.Parameter(torch.tensor(weight)), turn
        self.units = Units("prototype", [f"quarter {i}" for i in range(PARTS)])

    def forward(self, x):
        return F.adaptive_avg_pool2d(x.mean(1), 2).flatten(1) @ self.weight.T

    def explain(self, x, target=None, shown=10):
        strength = F.adaptive_avg_pool2d(x.mean(1), 2).flatten(1)
        logits = self(x)
        target = logits.argmax(1) if target is None else target
        contribution = (strength * self.weight[target]).roll(self.turn, 1)
        place = torch.zeros(len(x), PARTS, 8, 8)
        for k, (row, column) in enumerate(itertools.product((1, 5), (1, 5))):
            place[:, k, row, column] = 1
        shown = contribution.argsort(dim=1, descending=True)[:, :shown] if isinstance(shown, int) else shown
        where = gather(place, shown) if shown.shape[1] else None
        return Explanation(self.units, logits, target, strength, contribution, logits.new_zeros(len(x)), shown, where)


# class 1 rests on parts 0 and 1, class 2 on parts 2 and 3, class 0 on all but the last
FAIR = [[1.9, 1.0, 0.9, 0.0], [2.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 1.0]]


def score_of(model, **how):
    scenes = Quarters()
    score = PartInterventions(PARTS, scenes=scenes, **how)
    score.update_from(record_batch(model, scenes.batch(), 4, owned=False))
    return score, scenes


@torch.no_grad()
def test_an_explanation_that_says_what_is_so():
    score, _ = score_of(Reader(FAIR))
    readouts = {k: v for k, v in score.compute().items() if not k.startswith("curve")}
    assert float(readouts["order"]) == pytest.approx(1.0)
    assert float(readouts["target_sensitivity"]) == 1.0
    assert int(readouts["compared"]) == int(readouts["support"]) == 8
    assert float(readouts["distractibility"]) == 1
    assert float(readouts["random"]) < float(readouts["completeness"])
    assert float(readouts["random distractibility"]) < 1
    assert float(score.compute()["curve/preservation"][0]) == 1  # nothing goes that it rests on
    other = {k: v for k, v in score_of(Reader(FAIR, turn=2))[0].compute().items() if not k.startswith("curve")}
    assert float(other["order"]) < 0.5
    assert float(other["target_sensitivity"]) == 0.0
    assert float(other["completeness"]) <= float(readouts["completeness"])


@torch.no_grad()
def test_scenes_are_rendered_once_each():
    _, scenes = score_of(Reader(FAIR))
    assert len(scenes.made) == len(set(scenes.made)) <= 8 * 16
    several = answers(
        Reader(FAIR), scenes, torch.tensor([3, 5]), torch.tensor([[[True, False, False, False], [False] * 4]] * 2)
    )
    for row, index in enumerate((3, 5)):
        for column, without in enumerate(((0,), ())):
            torch.testing.assert_close(several[row, column], Reader(FAIR)(scenes.render(index, without)[None])[0])


def test_shares_agree_with_a_loop_over_pixels():
    g = torch.Generator().manual_seed(0)
    where, masks = maps("", (3, 4, 7, 7), 2), torch.rand(3, 5, 20, 30, generator=g) > 0.7
    result = part_shares(where, masks)
    for i, k, p in itertools.product(range(3), range(4), range(5)):
        top, bottom, left, right = box(where[i, k][None], (20, 30))[0].tolist()
        inside = [bool(masks[i, p, y, x]) for y in range(top, bottom + 1) for x in range(left, right + 1)]
        assert float(result[i, k, p]) == pytest.approx(sum(inside) / len(inside))


def test_what_is_above_a_share_of_all_is_important():
    result = important_parts(torch.tensor([[3.0, 1.0, -2.0]]), torch.tensor([10.0]), (0.05, 0.1, 0.5))
    assert result[0].tolist() == [[True, True, False], [True, False, False], [False, False, False]]
    assert not important_parts(torch.tensor([[0.0, -1.0]]), torch.tensor([0.0])).any()


def test_contrast_classes_share_as_many_parts_and_no_part():
    g = torch.Generator().manual_seed(0)
    code = torch.randint(0, 3, (9, 6), generator=g)
    same = code[:, None] == code
    for c, (a, b) in enumerate(contrast_classes(same).tolist()):
        best = 0
        for i, j in itertools.combinations([k for k in range(9) if k != c], 2):
            one, two = (set(same[c, k].nonzero()[:, 0].tolist()) for k in (i, j))
            if len(one) == len(two) and not one & two and len(one) > best:
                best, pair = len(one), (i, j)
        assert (a, b) == (pair if best else (-1, -1))
    assert contrast_classes(torch.ones(3, 3, 2).bool()).tolist() == [[-1, -1]] * 3


def world(n=50, p=5, t=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    rival = torch.randn(n, 3, 2, generator=g)
    rival[::9] = torch.nan
    logit = torch.randn(n, generator=g)
    importance = torch.randn(n, p, generator=g).round(decimals=1)
    importance[4] = 1
    return {
        "important": torch.rand(n, t, p, generator=g) > 0.5,
        "answer": torch.randint(0, 3, (n,), generator=g),
        "kept": torch.randint(0, 3, (n, t), generator=g),
        "cut": torch.randint(0, 3, (n, t), generator=g),
        "importance": importance,
        "logit": logit,
        "without": logit[:, None] - (torch.rand(n, p, generator=g) - 0.05) * 0.3 * logit.abs()[:, None],
        "contrast_logits": rival,
        "contrast_importance": torch.rand(n, 2, 2, generator=g),
        "random": torch.rand(n, t, p, generator=g) > 0.5,
        "random_kept": torch.randint(0, 3, (n, t), generator=g),
        "random_cut": torch.randint(0, 3, (n, t), generator=g),
    }


def oracle(w, kind=""):
    """The checks input by input, as the text of the definition has them."""
    names = ("random", "random_kept", "random_cut") if kind else ("important", "kept", "cut")
    told_parts, kept, cut = (w[name] for name in names)
    n, t, p = w["important"].shape
    keep, drop, calm, order, sensitive = [[] for _ in range(t)], [[] for _ in range(t)], [[] for _ in range(t)], [], []
    for i in range(n):
        lost = [float(w["logit"][i].double() - v.double()) for v in w["without"][i]]
        idle = {k for k in range(p) if abs(lost[k]) < 0.05 * abs(float(w["logit"][i])) or lost[k] < 0}
        for j in range(t):
            important = set(told_parts[i, j].nonzero()[:, 0].tolist())
            keep[j].append(int(kept[i, j] == w["answer"][i]))
            drop[j].append(int(cut[i, j] != w["answer"][i]))
            calm[j] += [1 - len(important & idle) / len(idle)] if idle else []
        if len(set(w["importance"][i].tolist())) > 1:
            order.append(spearmanr(w["importance"][i].tolist(), lost).statistic)
        whole, a_out, b_out = w["contrast_logits"][i]
        if a_out[0] - whole[0] < b_out[0] - whole[0] and b_out[1] - whole[1] < a_out[1] - whole[1]:
            (a_a, a_b), (b_a, b_b) = w["contrast_importance"][i]
            sensitive += [int(a_a > a_b), int(b_b > b_a)]
    return [[sum(x) / len(x) for x in each] for each in (keep, drop, calm)], order, sensitive


def test_agrees_with_a_loop():
    rows = world()
    (keep, drop, calm), order, sensitive = oracle(rows)
    score = PartInterventions(5, thresholds=(0.1, 0.2, 0.3))
    for chunk in torch.arange(50).split(7):
        score.update(**{k: v[chunk] for k, v in rows.items()})
    readouts = score.compute()
    for name, expected in (("preservation", keep), ("deletion", drop), ("distractibility", calm)):
        assert readouts[f"curve/{name}"].tolist() == pytest.approx(expected)
    best = max(range(3), key=lambda j: (keep[j] + drop[j]) / 2 + calm[j])
    assert float(readouts["completeness"]) == pytest.approx((keep[best] + drop[best]) / 2)
    (keep, drop, calm), *_ = oracle(rows, "random")
    assert float(readouts["random"]) == pytest.approx((keep[best] + drop[best]) / 2)
    assert float(readouts["random distractibility"]) == pytest.approx(calm[best])
    assert float(readouts["threshold"]) == pytest.approx((0.1, 0.2, 0.3)[best])
    assert float(readouts["order"]) == pytest.approx(sum(order) / len(order))
    assert 2 * int(readouts["compared"]) == len(sensitive) > 0
    assert float(readouts["target_sensitivity"]) == pytest.approx(sum(sensitive) / len(sensitive))
    assert score.protocol == "funnybirds2023-parts/thresholds0.1-0.2-0.3"


def test_shapes_are_rendered_as_the_model_sees_them():
    data = Shapes(classes=4, n_train=4, n_val=4, n_test=8, size=32, mean=[0.4, 0.5, 0.6], std=[0.2, 0.3, 0.4])
    scenes, batch = data.scenes("test"), data.samples("test", list(range(8)))
    for i in range(8):
        torch.testing.assert_close(scenes.render(i), batch.x[i], rtol=0, atol=1e-6)
        masks, less = scenes.masks(i), scenes.render(i, (2,))
        changed = (less != scenes.render(i)).any(0)
        assert changed.any()
        assert not (changed & ~masks[2]).any()
    for a, b in itertools.product(range(4), repeat=2):
        one, two = data.designs[a], data.designs[b]
        assert scenes.same[a, b].tolist() == [one[part] == two[part] for part in data.part_names]
    assert int(scenes.same.sum(2).fill_diagonal_(0).max()) <= 3


@torch.no_grad()
def test_a_suite_renders_what_it_scores():
    model, scenes = Reader(FAIR), Quarters()
    suite = Suite([{"score": "part_interventions"}], model.units, list("abcd"), scenes=scenes)
    for rows in torch.arange(8).split(3):
        whole = scenes.batch()
        suite.update(model, Batch(whole.x[rows], whole.y[rows], whole.index[rows]))
    result, expected = suite.compute()["part_interventions"], score_of(model)[0].compute()
    assert result.value == pytest.approx(float(expected["completeness"]))
    assert result.more["order"] == pytest.approx(float(expected["order"]))
    assert result.support == 8
    without = Suite([{"score": "part_interventions"}, {"score": "purity"}], model.units, list("abcd"))
    without.update(model, scenes.batch())
    assert without.compute()["part_interventions"].note == "n/a: the scenes of these data cannot be rendered again"
    assert without.compute()["purity"].note == "n/a: the data have no part annotations"
    assert without.compute()["purity"].protocol == "pipnet2023-purity"  # the suite tells the names of the parts


@torch.no_grad()
def test_what_cannot_be_asked_says_why():
    scenes = Quarters()
    for model, given, reason in (
        (Reader(FAIR), None, "the scenes of these data cannot be rendered again"),
        (Toy(place=False), scenes, "the units have no place in an image"),
    ):
        suite = Suite(["part_interventions"], model.units, [str(i) for i in range(PARTS)], scenes=given)
        suite.update(model, scenes.batch())
        assert suite.compute()["part_interventions"].note == f"n/a: {reason}"
    with pytest.raises(ValueError, match="no place"):
        probe(_placeless(), scenes.batch(), scenes)


def _placeless():
    model = Reader(FAIR)
    explain = model.explain
    model.explain = lambda x, target=None, shown=10: explain(x, target, 0)
    return model


@torch.no_grad()
def test_a_share_of_the_scenes():
    whole, half = score_of(Reader(FAIR))[0], score_of(Reader(FAIR), share=0.5)[0]
    assert 0 < int(half.compute()["support"]) < int(whole.compute()["support"]) == 8


def test_intervals_of_a_share_of_the_scenes():
    """All chosen scenes agree, so each end is that of as many equal values as there are scenes."""
    model, scenes = Reader(FAIR), Quarters()
    suite = Suite(
        [{"score": "part_interventions", "share": 0.5, "interval": True}], model.units, list("abcd"), scenes=scenes
    )
    suite.update(model, scenes.batch())
    result = suite.compute()["part_interventions"]
    assert 0 < result.support < 8
    assert result.more["distractibility"] == result.more["distractibility high"] == 1
    assert result.more["distractibility low"] == pytest.approx(0.025 ** (1 / result.support))
    assert result.more["completeness low"] <= result.value <= result.more["completeness high"]


@pytest.mark.parametrize("how", [{"thresholds": ()}, {"thresholds": (0.1, 3)}, {"share": 0}, {"part_count": 0}])
def test_refuses_what_means_nothing(how):
    with pytest.raises(ValueError, match="expected"):
        PartInterventions(**{"part_count": 4} | how)


def test_refuses_shapes_that_do_not_fit():
    rows = world()
    for name in rows:
        wrong = rows | {name: rows[name][..., None]}
        with pytest.raises(ValueError, match=name):
            PartInterventions(5, thresholds=(0.1, 0.2, 0.3)).update(**wrong)
    with pytest.raises(ValueError, match="masks"):
        part_shares(torch.zeros(2, 3, 4, 4), torch.zeros(1, 3, 8, 8))
