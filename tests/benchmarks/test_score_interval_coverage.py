"""Coverage of 95 % intervals of many scores by simulation.

    pytest -m benchmark -s tests/benchmarks/test_score_interval_coverage.py

In each run n inputs are drawn anew from a population, and the score gives its interval with 200 replicates. The true
value is that of 100 000 inputs of the same population. Scores whose inputs are not resampled (purity, redundancy) have
an interval for units like these on these inputs: units are drawn anew. The log loss of a model that is nearly always
right and sure is not tried: where a sample has no wrong answer, no interval of an unbounded mean can cover.
"""

import math

import pytest
import torch

from zoo.concept_schema import Concept, ConceptSchema
from zoo.metrics import BootstrapInterval
from zoo.metrics.wrappers._estimates import Estimate
from zoo.registry import SCORES
from zoo.task import Classification, MultiLabel, Regression

RUNS = 300
POPULATION = 100_000
IMAGES = (50, 200)
UNITS = (20, 200)
LEVEL = 0.93
LEVEL_OF_HEAVY_TAILS = 0.85
CONCEPTS = ConceptSchema(tuple(Concept(f"c{i}") for i in range(4)))

pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("ignore")]


def uniform(g, *shape):
    return torch.rand(*shape, generator=g)


def normal(g, *shape):
    return torch.randn(*shape, generator=g)


def classes(g, n, c=3, sharp=1.5):
    """Logits and the classes drawn from half of them: overconfident, of unequal frequencies."""
    logits = normal(g, n, c) * sharp - torch.arange(c) * 0.7
    return {"logits": logits, "y": (logits / 2 + gumbel(g, n, c)).argmax(1)}


def gumbel(g, *shape):
    return -(-uniform(g, *shape).clamp(1e-12, 1 - 1e-7).log()).log()


def accurate(g, n):
    """Classes of which 98 % are predicted."""
    y = torch.randint(0, 3, (n,), generator=g)
    shown = torch.where(uniform(g, n) < 0.98, y, (y + 1) % 3)
    return {"logits": 4.0 * torch.nn.functional.one_hot(shown, 3) + 0.5 * normal(g, n, 3), "y": y}


def labels(g, n):
    logits = 2 * normal(g, n, 3) - torch.tensor([0.0, 1.0, 2.0])
    return {"logits": logits, "y": (uniform(g, n, 3) < torch.sigmoid(logits / 2)).float()}


def numbers(g, n):
    """Predictions with normal errors."""
    predicted = normal(g, n, 1)
    return {"logits": predicted, "y": predicted[:, 0] + 0.5 * normal(g, n)}


def heavy(g, n):
    """Predictions with errors that grow with the prediction, and so have heavy tails."""
    predicted = normal(g, n, 1)
    return {"logits": predicted, "y": predicted[:, 0] + 0.5 * normal(g, n) * (1 + predicted[:, 0].abs())}


def gaps(g, n):
    """Skewed gaps of a few per cent of the logit."""
    contribution = normal(g, n, 4)
    answer = 5 + uniform(g, n)
    base = answer - contribution.sum(1) - 0.05 * answer * uniform(g, n) ** 3
    return {"answer": answer, "base": base, "contribution": contribution}


def repeated(g, n):
    """Explanations by one of five units, which decide the answer with a probability of their own."""
    unit = torch.randint(0, 5, (n,), generator=g)
    right = uniform(g, n) < torch.tensor([0.6, 0.7, 0.8, 0.9, 1.0])[unit]
    return {
        "contribution": torch.nn.functional.one_hot(unit, 5).float(),
        "answer": torch.where(right, unit % 3, (unit + 1) % 3),
    }


def attacked(g, n):
    """Strengths that lose a skewed share, maps of which some move."""
    maps = uniform(g, n, 4, 4)
    moved = torch.where((uniform(g, n) < 0.3)[:, None, None], maps.flip(1), maps)
    before = 1 + uniform(g, n, 3)
    return {
        "before": before,
        "after": before * (1 - uniform(g, n, 3) ** 4),
        "unit": torch.randint(0, 3, (n,), generator=g),
        "competitors": torch.ones(n, 3).bool(),
        "maps_before": maps,
        "maps_after": moved,
        "size": (4, 4),
        "right_before": uniform(g, n) < 0.9,
        "right_after": uniform(g, n) < 0.7,
    }


def rendered(g, n):
    """Scenes of three parts, at two thresholds: the answer stays with a probability that depends on the threshold."""
    answer = torch.zeros(n, dtype=torch.int64)
    stays = uniform(g, n, 2) < torch.tensor([0.8, 0.7])
    changes = uniform(g, n, 2) < torch.tensor([0.6, 0.75])
    importance = normal(g, n, 3)
    contrast = {"contrast_logits": normal(g, n, 3, 2), "contrast_importance": normal(g, n, 2, 2)}
    return contrast | {
        "important": (importance > 0)[:, None].repeat(1, 2, 1),
        "answer": answer,
        "kept": (~stays).long(),
        "cut": changes.long(),
        "importance": importance,
        "logit": torch.zeros(n),
        "without": -importance + normal(g, n, 3),
    }


def concepts(g, n):
    """Four concepts that are right with unequal probabilities; the errors of an input depend on each other."""
    truth = (uniform(g, n, 4) < 0.4).float()
    hard = (uniform(g, n) < 0.3)[:, None]
    wrong = uniform(g, n, 4) < torch.where(hard, 0.3, 0.03) * torch.tensor([1.0, 0.5, 1.5, 0.2])
    strength = torch.where(wrong, 1 - truth, truth) * 0.8 + 0.1
    return {"predicted": strength, "truth": truth}


def corrected(g, n):
    """Concepts of a linear head; the class is that of the true concepts."""
    rows = concepts(g, n)
    head = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.5, -1.5], [-0.5, 0.5]])
    strength = rows["predicted"]
    ends = {"low": torch.zeros(n, 4), "high": torch.ones(n, 4)}
    decide = lambda mask, value: torch.where(mask, value, strength) @ head  # noqa: E731
    y = ((rows["truth"] - 0.4) @ head).argmax(1)
    return rows | ends | {"strength": strength, "index": torch.arange(n), "y": y, "decide": decide}


TASKS = {
    "accuracy": None,
    "label_accuracy": MultiLabel(3),
    "r2": Regression(),
    "rmse": Regression(),
    "mae": Regression(),
}
CASES = {
    "balanced_accuracy": classes,
    "macro_f1": classes,
    "log_loss": classes,
    "brier": classes,
    "calibration_error": classes,
    "auroc": classes,
    "average_precision": classes,
    "label_accuracy": labels,
    "r2": numbers,
    "rmse": numbers,
    "mae": numbers,
    "completeness": gaps,
    "answer_agreement": repeated,
    "misalignment": attacked,
    "part_interventions": rendered,
    "concept_accuracy": concepts,
    "interventions": corrected,
}
NEAR_ONE = ("balanced_accuracy", "macro_f1", "brier")
ARGUMENTS = {
    "answer_agreement": {"num_units": 5},
    "part_interventions": {"part_count": 3, "thresholds": (0.05, 0.1)},
    "concept_accuracy": {"concepts": CONCEPTS},
    "interventions": {"concepts": CONCEPTS, "policies": ["random"]},
    "completeness": {},
    "misalignment": {},
}


def fresh(name):
    cls = SCORES.get(name)
    return cls(**ARGUMENTS[name]) if name in ARGUMENTS else cls(TASKS.get(name, Classification(3)))


def true_values(name, draw):
    score = fresh(name)
    g = torch.Generator().manual_seed(99)
    size = 20_000 if name == "interventions" else POPULATION
    score.update(**draw(g, size))
    readouts = type(score).compute(score)
    return {key: float(readouts[key]) for key in score.intervals or (name,)}


def one_run(name, draw, n, g, run):
    """Ends of the intervals of all read-outs."""
    rows = draw(g, n)
    ids = torch.arange(n) + run * 10_000  # other weights in each run
    if fresh(name).intervals:
        score = BootstrapInterval(fresh(name))
        score.update(**rows, sample_ids=ids)
    else:
        score = fresh(name)
        score.update(**rows, index=ids)
    readouts = type(score).compute(score)
    return {
        key.removesuffix(" low"): (float(readouts[key]), float(readouts[f"{key.removesuffix(' low')} high"]))
        for key in readouts
        if key.endswith(" low")
    }


def report(name, where, n, truth, ends):
    """Print a row of the table, and return the coverage."""
    low, high = torch.tensor(ends, dtype=torch.float64).T
    covered = float(((low <= truth) & (truth <= high)).double().mean())
    below, above = float((truth < low).double().mean()), float((truth > high).double().mean())
    print(
        f"\n| {name} | {where} | {truth:.3f} | {n} | {100 * covered:.1f} | {100 * below:.1f} | {100 * above:.1f} |"
        f" {float((high - low).mean()):.3f} |"
    )
    return covered


def covers(name, draw, where, n):
    truth = true_values(name, draw)
    g = torch.Generator().manual_seed(n)
    runs = [one_run(name, draw, n, g, run) for run in range(RUNS)]
    coverage = {}
    for key, value in truth.items():
        label = name if len(truth) == 1 else f"{name}: {key}"
        coverage[key] = report(label, where, n, value, [ends[key] for ends in runs])
    return coverage


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n", IMAGES)
def test_scores_are_covered(name, n):
    coverage = covers(name, CASES[name], "middle", n)
    assert min(coverage.values()) >= LEVEL, coverage


@pytest.mark.parametrize("name", NEAR_ONE)
@pytest.mark.parametrize("n", IMAGES)
def test_scores_near_their_best_value_are_covered(name, n):
    coverage = covers(name, accurate, "98 % right", n)
    assert min(coverage.values()) >= LEVEL, coverage


@pytest.mark.parametrize("name", ["rmse", "mae"])
@pytest.mark.parametrize("n", IMAGES)
def test_errors_with_heavy_tails_are_covered_less(name, n):
    coverage = covers(name, heavy, "heavy tails", n)
    assert min(coverage.values()) >= LEVEL_OF_HEAVY_TAILS, coverage


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize(
    ("name", "true"), [("purity", 0.5), ("purity", 0.98), ("redundancy", 0.1), ("redundancy", 0.5)]
)
def test_scores_of_units_alone_are_covered(name, true, units):
    """Purities of units follow a Beta distribution; each unit is redundant with the true probability."""
    g = torch.Generator().manual_seed(units)
    torch.manual_seed(units)
    ends = []
    for _ in range(RUNS):
        if name == "purity":
            values = torch.distributions.Beta(4 * true, 4 * (1 - true)).sample((units,)).double()
        else:
            values = (uniform(g, units) < true).double()
        variance = float(values.var()) / units
        binary = bool(((values == 0) | (values == 1)).all())
        drawn = values.mean(), values.mean().expand(2)
        estimate = Estimate(*drawn, variance, 0, 1, count=units, binary=binary, few_decide=True)
        ends.append(estimate.interval())
    assert all(map(math.isfinite, ends[0]))
    assert report(name, "units", units, true, ends) >= LEVEL
