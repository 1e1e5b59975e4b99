import json
from dataclasses import replace

import pytest
import torch
from worlds import Toy, batch, take

from zoo.explanation import Explanation, Units
from zoo.metrics import Consistency, Result, Score, Stability, Suite, hits, peak
from zoo.metrics._suite_entries import read_suite
from zoo.metrics.perturbations.noise import Noise
from zoo.metrics.suite import check

PARTS = list("abcde")


def run(model=None, samples=None, size=100, scores="evaluate/quick", parts=PARTS, **how):
    model, samples = model or Toy(), samples or batch()
    suite = Suite(scores, model.units, parts, **how)
    for rows in torch.arange(len(samples)).split(size):
        suite.update(model, take(samples, rows))
    return suite


OF_TASKS = (
    *("balanced_accuracy", "confusion_matrix", "auroc", "average_precision", "macro_f1", "log_loss", "brier"),
    *("calibration_error", "risk_coverage", "label_accuracy", "r2", "rmse", "mae"),
)


def test_quick_scores_all_apply_to_prototypes():
    results = run(control=True).compute()
    assert list(results) == [
        "accuracy",
        *OF_TASKS,
        "completeness_gap",
        "effective_units",
        "consistency",
        "consistency (random prototypes)",
        "stability",
        "stability (random prototypes)",
        "concept_accuracy",
        "interventions",
        "leakage",
        "detectors",
    ]
    assert results.pop("detectors").note == "n/a: nothing was scored"
    for name in ("concept_accuracy", "interventions", "leakage"):
        assert results.pop(name).note == "n/a: the data have no concepts"
    for name in OF_TASKS:
        assert results.pop(name).note == "n/a: the classes are tokens, or the task is unknown"
    for result in results.values():
        assert result.value is not None
        assert result.support == 13
        assert result.protocol
        assert result.note == ""
    assert results["consistency"].protocol == "huang2023-v2"
    assert results["consistency (random prototypes)"].protocol == "huang2023-v2/random"
    assert results["consistency"].per_unit["rate"].shape == (6,)
    assert results["completeness_gap"].value < 1e-5
    assert results["accuracy"].more["cross_entropy"] > 0


def test_equals_the_scores_fed_by_hand():
    model, samples = Toy().eval(), batch()
    results = run(model, samples).compute()
    explanation = model.explain(samples.x, target=samples.y, shown=model.units.of_class(samples.y))
    noisy = model.explain(Noise()(samples, 0).x, target=samples.y, shown=explanation.shown)
    part_hits, after = (hits(peak(e.where, 32), samples.points, samples.visible, size=32) for e in (explanation, noisy))
    consistency, stability = Consistency(6, 5), Stability(6, 5)
    consistency.update(part_hits, samples.visible, explanation.shown)
    stability.update(part_hits, after, explanation.shown)
    assert results["consistency"].value == float(consistency.compute()["consistency"])
    assert results["consistency"].more["soft"] == float(consistency.compute()["soft"])
    assert results["stability"].value == float(stability.compute()["stability"])


@pytest.mark.parametrize("size", [1, 4])
def test_batch_size_and_order_do_not_matter(size):
    whole = run(control=True).compute()
    order = torch.randperm(13, generator=torch.Generator().manual_seed(0))
    for samples in (batch(), take(batch(), order)):
        parts = run(samples=samples, size=size, control=True).compute()
        assert [name for name in whole if whole[name].value is None] == [
            *OF_TASKS,
            "concept_accuracy",
            "interventions",
            "leakage",
            "detectors",
        ]
        for name in (name for name in whole if whole[name].value is not None):
            assert parts[name].value == pytest.approx(whole[name].value, rel=1e-6, abs=1e-7)
            assert parts[name].support == 13


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
    for name in ("consistency", "stability", "completeness_gap", "effective_units"):
        assert "no units" in why(results, name)


def test_results_are_plain_json():
    suite = run(parts=None)
    results = suite.compute()
    saved = json.loads(json.dumps({name: r.to_json() for name, r in results.items()}, allow_nan=False))
    assert saved["consistency"] == {
        "value": None,
        "protocol": "huang2023-v2",
        "support": 0,
        "note": "n/a: the data have no part annotations",
    }
    assert list(saved["accuracy"]) == ["value", "protocol", "support", "more"]
    assert saved["accuracy"]["value"] == results["accuracy"].value
    suite.reset()
    assert suite.compute()["accuracy"].note == "n/a: nothing was scored"


def test_numbers_that_json_lacks_are_null():
    result = Result("x", float("inf"), "p", 3, more={"a": float("nan"), "b": 1.0})
    assert result.to_json() == {"value": None, "protocol": "p", "support": 3, "more": {"a": None, "b": 1.0}}


def test_a_value_that_is_not_finite_says_so():
    class Silent(Toy):
        def explain(self, x, target=None, shown=10):
            return replace(super().explain(x, target, shown), logits=torch.zeros(len(x), 3), base=torch.ones(len(x)))

    result = run(Silent(), scores=[{"score": "completeness"}]).compute()["completeness"]
    assert (result.value, result.note) == (torch.inf, "not finite: inf")


def test_departures_from_a_definition_show_in_every_id():
    scores = [{"score": "consistency", "tau": 0.1}, {"score": "effective_units", "share": 0.5}, {"score": "stability"}]
    ids = {
        "consistency": "huang2023-v2/tau0.1",
        "consistency (random prototypes)": "huang2023-v2/tau0.1/random",
        "effective_units": "zoo-size-v1/share0.5",
        "stability": "huang2023-v2",
        "stability (random prototypes)": "huang2023-v2/random",
    }
    assert {name: r.protocol for name, r in run(scores=scores, control=True).compute().items()} == ids
    results = run(Toy(owned=False), scores=scores, shown=3).compute()
    assert results["consistency"].protocol == "huang2023-v2/tau0.1/top3"
    assert run(scores=scores, parts=None).compute()["consistency"].protocol == "huang2023-v2/tau0.1"


def test_a_unit_that_follows_a_part_is_far_above_the_random_control():
    class Follower(Toy):
        def explain(self, x, target=None, shown=10):
            explanation = super().explain(x, target, shown)
            where = (x[:, :1, ::8, ::8] > 5).to(x.dtype).expand(explanation.where.shape).clone()
            return type(explanation)(
                **{k: where if k == "where" else getattr(explanation, k) for k in explanation.__dataclass_fields__}
            )

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
        ([3], "entry 1 .*3 is not a score with its arguments"),
        (["accuracy", "unit_curves"], "entry 2 .*'unit_curves' is now called 'insertion_deletion'"),
        ([{"score": "map_localisation"}], "now called 'map_localization'"),
        ([{"score": "accuracy", "name": 3}], "name of a 'accuracy' score is 3"),
        (
            [{"score": "accuracy"}, {"score": "consistency", "tau": "abc"}],
            "entry 2 .*score 'consistency': tau is 'abc'",
        ),
        ([{"score": "stability", "name": "mine", "draws": 0}], "score 'mine': draws is 0"),
        ([{"score": "effective_units", "share": 0}], "score 'effective_units': share is 0"),
    ],
)
def test_mistakes_in_the_list_are_named(scores, words):
    with pytest.raises(ValueError, match=words):
        Suite(scores, Toy().units, PARTS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("score: accuracy\n", "list of scores"),
        ("", "list of scores"),
        ("3", "int"),
        ("- {score: accuracy\n- {score: [", "line 2"),
        ("- {score: accuracy, name: '${nowhere}', tau: 1}", "has no argument 'tau'"),
        (
            "- {score: accuracy}\n- {score: consistency, tau: abc}",
            "score 'consistency': tau is 'abc'; expected a number",
        ),
        ("- {score: stability, drws: 3}", "score 'stability' has no argument 'drws'"),
        (b"\xff\xfe\x00", "scores.yaml"),
    ],
)
def test_mistakes_in_a_file_are_found_before_there_is_a_model(tmp_path, text, words):
    path = tmp_path / "scores.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=words) as error:
        check(str(path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["quick", "units", "full", "evaluate/quick"])
def test_shipped_suites_are_right(name):
    check(name)
    assert read_suite(name)[0]["score"] == "accuracy"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("quik", "did you mean quick"),
        ("./no.yaml", "board, concepts, concepts_policy, concepts_short, full, parts, quick, text, units;"),
    ],
)
def test_unknown_suites_are_named(name, words):
    with pytest.raises(ValueError, match=words):
        check(name)


def test_another_vocabulary_is_refused():
    suite = Suite("evaluate/quick", Units("prototype", ["a"]), PARTS)
    with pytest.raises(ValueError, match="6 units"):
        suite.update(Toy(), batch())


class Brightness(Score):
    """Mean of the images: a score that no registry knows."""

    title, meaning, protocol = "Brightness", "mean of the images", "brightness-v1"
    inputs = {"x": "finite"}

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor
        self._sum("total", dtype=torch.float64)

    def update(self, x):
        self._check(x=x)
        self._add("total", self.factor * x.double().mean((1, 2, 3)))
        self.samples = self.samples + len(x)

    def update_from(self, record, changed=None, draw=0):
        self.update(record.batch.x)

    def compute(self):
        return {"brightness": self.total / self.samples, "support": self.samples}


def test_a_score_from_outside_as_class_object_and_entry():
    model, samples = Toy().eval(), batch()
    own = Brightness(3.0)
    entries = [Brightness, {"score": Brightness, "name": "double", "factor": 2.0}, "accuracy"]
    results = run(model, samples, size=4, scores=entries).compute()
    wanted = float(samples.x.double().mean())
    assert results["Brightness"].value == pytest.approx(wanted)
    assert results["double"].value == pytest.approx(2 * wanted)
    assert (results["Brightness"].title, results["Brightness"].protocol) == ("Brightness", "brightness-v1")
    assert results["Brightness"].support == results["accuracy"].support == 13
    suite = Suite([own], model.units, PARTS)
    suite.update(model, samples)
    assert suite.scores["Brightness"] is own
    assert float(own.compute()["brightness"]) == pytest.approx(3 * wanted)
    with pytest.raises(ValueError, match="score 'Brightness' has no argument 'colour'; it takes factor"):
        Suite([{"score": Brightness, "colour": 1}], model.units)
    samples.x[2, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="Brightness.x of input 2 holds nan"):
        own.update(samples.x)


@pytest.mark.parametrize("field", ["logits", "strength", "contribution", "base"])
@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_an_explanation_with_a_number_that_is_not_finite_is_refused(field, number):
    explanation = Toy().eval().explain(batch().x, target=batch().y, shown=2)
    wrong = getattr(explanation, field).detach().clone()
    wrong[4] = number
    with pytest.raises(ValueError, match=rf"Explanation\.{field} of input 4 holds {number}; expected finite numbers"):
        replace(explanation, **{field: wrong})
    largest = torch.full_like(wrong, torch.finfo(wrong.dtype).max)  # finite, though its sum is not
    assert len(replace(explanation, **{field: largest})) == 13
