import json

import pytest
import torch
from worlds import Toy, batch, take

from zoo.explanation import Explanation, Units
from zoo.metrics import Consistency, Stability, Suite, hits, peak
from zoo.metrics.perturb import Noise

PARTS = list("abcde")


def run(model=None, samples=None, size=100, scores="evaluate/quick", parts=PARTS, **how):
    model, samples = model or Toy(), samples or batch()
    suite = Suite(scores, model.units, parts, **how)
    for rows in torch.arange(len(samples)).split(size):
        suite.update(model, take(samples, rows))
    return suite


def test_quick_scores_all_apply_to_prototypes():
    results = run(control=True).compute()
    assert list(results) == [
        "accuracy", "completeness", "effective_units", "consistency", "consistency (random prototypes)",
        "stability", "stability (random prototypes)",
    ]  # fmt: skip
    for result in results.values():
        assert result.value is not None
        assert result.support == 13
        assert result.protocol
        assert result.note == ""
    assert results["consistency"].protocol == "huang2023-v2"
    assert results["consistency (random prototypes)"].protocol == "huang2023-v2/random"
    assert results["consistency"].per_unit["rate"].shape == (6,)
    assert results["completeness"].value < 1e-5
    assert results["accuracy"].more["cross_entropy"] > 0


def test_equals_the_scores_fed_by_hand():
    model, samples = Toy().eval(), batch()
    results = run(model, samples).compute()
    told = model.explain(samples.x, target=samples.y, shown=model.units.of_class(samples.y))
    noisy = model.explain(Noise()(samples, 0).x, target=samples.y, shown=told.shown)
    met, after = (hits(peak(e.where, 32), samples.points, samples.visible, size=32) for e in (told, noisy))
    consistency, stability = Consistency(6, 5), Stability(6, 5)
    consistency.update(met, samples.visible, told.shown)
    stability.update(met, after, told.shown)
    assert results["consistency"].value == float(consistency.compute()["consistency"])
    assert results["consistency"].more["soft"] == float(consistency.compute()["soft"])
    assert results["stability"].value == float(stability.compute()["stability"])


@pytest.mark.parametrize("size", [1, 4])
def test_batch_size_and_order_do_not_matter(size):
    whole = run(control=True).to_json()
    order = torch.randperm(13, generator=torch.Generator().manual_seed(0))
    for samples in (batch(), take(batch(), order)):
        parts = run(samples=samples, size=size, control=True).to_json()
        for name in whole:
            assert parts[name]["value"] == pytest.approx(whole[name]["value"], rel=1e-6, abs=1e-7)
            assert parts[name]["support"] == 13


def test_model_and_batch_stay_bit_equal():
    model, samples = Toy(), batch()
    model.norm.train()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    kept = take(samples, slice(None))
    kept = {k: getattr(kept, k).clone() for k in ("x", "y", "index", "points", "visible")}
    modes = [m.training for m in model.modules()]
    random = torch.get_rng_state()
    run(model, samples, control=True).compute()
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert all(torch.equal(getattr(samples, k), v) for k, v in kept.items())
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert model.weight.grad is None


def test_each_explanation_is_made_once():
    model = Toy()
    scores = [{"score": "accuracy"}, {"score": "consistency"}, {"score": "stability", "draws": 3}]
    scores += [{"score": "stability", "name": "again"}, {"score": "completeness"}, {"score": "effective_units"}]
    run(model, scores=scores, control=True)
    assert model.calls == 1 + 3


def test_two_protocols_side_by_side():
    scores = [{"score": "stability", "protocol": f"huang2023-v{v}", "name": f"stability v{v}"} for v in (1, 2)]
    results = run(scores=scores).compute()
    assert [r.protocol for r in results.values()] == ["huang2023-v1", "huang2023-v2"]


def test_shared_units_have_their_own_protocol():
    suite = run(Toy(owned=False), shown=3)
    results = suite.compute()
    assert results["consistency"].protocol == "huang2023-v2/top3"
    assert results["consistency"].support == 13
    assert int(results["consistency"].per_unit["claims"].sum()) <= 3 * 13


def why(results, name):
    assert results[name].value is None
    return results[name].note


def test_what_cannot_apply_says_why():
    assert "no place" in why(run(Toy(place=False)).compute(), "consistency")
    assert "no part annotations" in why(run(parts=None).compute(), "stability")
    assert "nothing was scored" in why(Suite("evaluate/quick", Toy().units, PARTS).compute(), "consistency")
    no_points = batch()
    object.__setattr__(no_points, "points", None)
    object.__setattr__(no_points, "visible", None)
    model = Toy()
    suite = Suite("evaluate/quick", model.units, PARTS)
    suite.update(model, no_points)
    assert "no part annotations" in why(suite.compute(), "stability")
    assert suite.compute()["accuracy"].support == 13


def test_black_box_is_scored_for_its_task_alone():
    class Box:
        units = Units("none", [])

        def explain(self, x, target=None, shown=10):
            none = x.new_zeros(len(x), 0)
            logits = x.mean((2, 3))
            base = logits.gather(1, target[:, None])[:, 0]
            return Explanation(self.units, logits, target, none, none, base, none.long())

    results = run(Box(), control=True).compute()
    assert results["accuracy"].value is not None
    for name in ("consistency", "stability", "completeness", "effective_units"):
        assert "no units" in why(results, name)


def test_rows_and_json():
    suite = run(parts=None)
    rows = suite.rows()
    assert list(rows[0]) == ["name", "value", "protocol", "support", "note"]
    told = json.loads(json.dumps(suite.to_json(), allow_nan=False))
    assert told["consistency"]["value"] is None
    assert told["accuracy"]["value"] == rows[0]["value"]
    suite.reset()
    assert suite.rows()[0]["note"] == "n/a: nothing was scored"


def test_a_unit_that_follows_a_part_is_far_above_the_random_control():
    class Follower(Toy):
        def explain(self, x, target=None, shown=10):
            told = super().explain(x, target, shown)
            where = (x[:, :1, ::8, ::8] > 5).to(x.dtype).expand(told.where.shape).clone()
            return type(told)(**{k: where if k == "where" else getattr(told, k) for k in told.__dataclass_fields__})

    samples = batch(60, p=2, side=32)
    cell = torch.randint(0, 16, (60,), generator=torch.Generator().manual_seed(5))
    samples.x[torch.arange(60), 0, cell // 4 * 8, cell % 4 * 8] = 10
    samples.points[:, 0] = torch.stack([cell % 4 * 8 + 4, cell // 4 * 8 + 4], 1).double()
    samples.visible[:, 0] = True
    results = run(Follower().eval(), samples, parts=["it", "else"], control=True).compute()
    assert results["consistency"].value == 100
    assert results["consistency (random prototypes)"].value == 0
    assert results["consistency (random prototypes)"].more["soft"] < 0.6


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([{"score": "consistancy"}], "did you mean consistency"),
        ([{"score": "consistency", "taus": 1}], "no argument 'taus'; it takes tau"),
        ([{"score": "accuracy", "top": 5}], "takes none"),
        ([{"score": "accuracy"}, {"score": "accuracy"}], "two scores"),
        ([{"name": "accuracy"}], "no score"),
    ],
)
def test_mistakes_in_the_list_are_named(scores, words):
    with pytest.raises(ValueError, match=words):
        Suite(scores, Toy().units, PARTS)


def test_a_file_that_is_no_list_is_refused(tmp_path):
    path = tmp_path / "scores.yaml"
    path.write_text("score: accuracy\n")
    with pytest.raises(ValueError, match="list of scores"):
        Suite(str(path), Toy().units)


def test_another_vocabulary_is_refused():
    suite = Suite("evaluate/quick", Units("prototype", ["a"]), PARTS)
    with pytest.raises(ValueError, match="6 units"):
        suite.update(Toy(), batch())
