"""Board scores against loops over games, positions, thresholds, units and properties."""

import pytest
import torch

from zoo.explanation import Units
from zoo.metrics import BoardCoverage, BoardReconstruction, BootstrapInterval, DeadUnits, Suite
from zoo.metrics.positions._evaluator import PositionEvaluator
from zoo.metrics.positions._properties import in_8_bits, product
from zoo.metrics.sparsity.dead_units import fires
from zoo.sequence_spec import Family, Properties

pytestmark = pytest.mark.filterwarnings("ignore:The ``compute`` method")
SQUARES, ANSWERS, U, N, T = 5, 3, 9, 30, 8
INITIAL = torch.tensor([1, 2, 0, 1, 0])


def world(split, kind="neuron", lucky=()):
    """Positions with random boards, and activity in which units follow some properties, well or badly."""
    g = torch.Generator().manual_seed(len(split))
    codes = torch.randint(0, ANSWERS, (N, T, SQUARES), generator=g)
    codes[torch.rand(codes.shape, generator=g) < 0.05] = -1
    length = torch.randint(4, T + 1, (N,), generator=g)
    x = torch.where(torch.arange(T) < length[:, None], torch.arange(N)[:, None] * T + torch.arange(T), -1)
    look = (x >= 0) & (torch.rand(x.shape, generator=g) < 0.8)
    noise = torch.rand(N, T, U, generator=g)
    value = noise - 0.3
    for unit, (square, answer, level) in enumerate([(0, 1, 0.05), (1, 1, 0.0), (4, 1, 0.3), (2, 0, 0.0), (3, 2, 0.0)]):
        on = (codes[..., square] == answer) ^ (noise[..., unit] < level)
        value[..., unit] = torch.where(on, 0.5 + noise[..., unit] / 2, -noise[..., unit])
    value[..., 7] = 0
    value = (value > 0).float() if kind == "code" else value
    families = (
        Family("board", codes.to(torch.int8), tuple("abcde"), ("none", "x", "o"), blank=0, initial=INITIAL),
        Family("facts", torch.where(codes[..., :2] == 1, 0, -1), ("p", "q"), ("yes",)),
    )
    return Properties(x, look, families), value


class Reader:
    """A model whose activity at a token is a table's."""

    device, capabilities = "cpu", frozenset({"activity"})

    def __init__(self, kind="neuron"):
        self.units = Units(kind, [f"u{i}" for i in range(U)], binary=kind == "code")
        self.tables = {split: world(split, kind)[1].flatten(0, 1) for split in ("val", "test")}
        self.split = "val"

    def activity(self, x, units=None):
        values = self.tables[self.split][x.clamp_min(0)] * (x >= 0)[..., None]
        return values if units is None else values[..., units]


def evaluator_of(kind="neuron"):
    model, splits = Reader(kind), {split: world(split, kind)[0] for split in ("val", "test")}
    evaluator = PositionEvaluator(model, lambda split, count: splits[split])
    activity = evaluator.activity

    def both(split, units=None):
        model.split = split
        yield from activity(split, units)

    evaluator.activity = both
    return evaluator


def rows_of(split, kind):
    """(game, activity of each unit, set of properties) of every position looked at."""
    labels, value = world(split, kind)
    results = []
    for n in range(N):
        for t in range(T):
            if labels.look[n, t]:
                codes = labels.families[0].codes[n, t].tolist()
                has = {("board", s, c) for s, c in enumerate(codes) if c >= 0}
                has |= {("facts", s, 0) for s in range(2) if codes[s] == 1}
                results.append((n, value[n, t].tolist(), has))
    return results


def names(masked):
    board = [("board", s, c) for s in range(SQUARES) for c in range(ANSWERS)]
    return [p for p in board if not (masked and (p[2] == 0 or p[2] == int(INITIAL[p[1]])))]


FACTS = [("facts", s, 0) for s in range(2)]


def f1_of(rows, unit, cut, prop):
    on = [v[unit] > cut for _, v, _ in rows]
    hit = sum(o and prop in has for o, (_, _, has) in zip(on, rows, strict=True))
    there = sum(prop in has for _, _, has in rows)
    return 2 * hit / (sum(on) + there) if sum(on) + there else 0.0


@pytest.mark.parametrize("kind", ["neuron", "code"])
def test_coverage_is_the_formula(kind):
    val, test = rows_of("val", kind), rows_of("test", kind)
    top = [max(v[u] for _, v, _ in val) for u in range(U)]
    score = BoardCoverage()
    score.evaluate_positions(evaluator_of(kind))
    readouts = score.compute()
    not_blank = SQUARES * (ANSWERS - 1)  # of the masked group, initial answers included
    for key, props, possible in (
        ("", names(True), not_blank),
        ("board unmasked ", names(False), SQUARES * ANSWERS),
        ("facts ", FACTS, len(FACTS)),
    ):
        every = props
        props = [p for p in props if sum(p in has for _, _, has in val) >= 10]
        means, published, held_out = [], [], []
        for step in range(10):
            best = []
            for p in props:
                each = [f1_of(val, u, top[u] * step / 10, p) if top[u] > 0 else 0.0 for u in range(U)]
                best.append((max(each), each.index(max(each))))
            means.append(sum(f for f, _ in best) / len(best))
            active = [u for u in range(U) if top[u] > 0]
            largest = [max(f1_of(val, u, top[u] * step / 10, p) for u in active) for p in every]
            published.append(sum(largest) / possible)
            held_out.append(
                sum(f1_of(test, u, top[u] * step / 10, p) for p, (_, u) in zip(props, best, strict=True)) / len(best)
            )
        assert float(readouts[f"{key}selected"]) == pytest.approx(max(means), abs=1e-6)
        assert float(readouts[f"{key}published"]) == pytest.approx(max(published), abs=1e-6)
        assert float(readouts[f"{key}coverage"]) == pytest.approx(held_out[means.index(max(means))], abs=1e-6)
    assert float(readouts["published"]) < float(readouts["selected"])
    assert next(iter(readouts)) == "coverage"
    assert float(readouts["coverage"]) > 0.4


def scored(labels, rows, props):
    right = sum(len(t & has & props) for t, (_, _, has) in zip(labels, rows, strict=True))
    return 2 * right / (sum(len(t & props) for t in labels) + sum(len(has & props) for _, _, has in rows))


@pytest.mark.parametrize("kind", ["neuron", "code"])
def test_reconstruction_is_the_formula(kind):
    val, test = rows_of("val", kind), rows_of("test", kind)
    top, every = [max(v[u] for _, v, _ in val) for u in range(U)], [*names(False), *FACTS]
    signs = {}
    for u in range(U):
        for step in range(10):
            on = [has for _, v, has in val if top[u] > 0 and v[u] > top[u] * step / 10]
            if len(on) >= 10:
                signs[u, step] = {p for p in every if sum(p in has for has in on) >= 0.95 * len(on)}
    modes = []
    for step in range(10):
        modes.append(
            [
                set().union(*(signs.get((u, step), set()) for u in range(U) if v[u] > top[u] * step / 10))
                for _, v, _ in test
            ]
        )

    def highest(v, u, props):
        """Labels at the highest threshold that was passed and has a label among these properties."""
        passed = [step for step in range(10) if top[u] > 0 and v[u] > top[u] * step / 10]
        labeled = [signs[u, step] & props for step in passed if signs.get((u, step), set()) & props]
        return labeled[-1] if labeled else set()

    score = BoardReconstruction()
    score.evaluate_positions(evaluator_of(kind))
    readouts = score.compute()
    for key, props in (("", names(True)), ("board unmasked ", names(False)), ("facts ", FACTS)):
        last = [set().union(*(highest(v, u, set(props)) for u in range(U))) for _, v, _ in test]
        wanted = [scored(mode, test, set(props)) for mode in [*modes, last]]
        assert float(readouts[f"{key}reconstruction"]) == pytest.approx(max(wanted), abs=1e-9)
        if not key:
            assert 0.2 < max(wanted) < 0.9
            assert float(readouts["mode"]) == pytest.approx(wanted.index(max(wanted)) / 10)
    assert int(readouts["support"]) == len({n for n, _, _ in test})


def test_a_unit_predicts_at_the_highest_threshold_with_a_label():
    """Labeled at thresholds 0 and 0.1: on validation games it is too rarely larger, on test games it is large."""
    codes = (torch.arange(24).reshape(1, 24, 1) % 2).to(torch.int8)
    family = Family("light", codes, ("lamp",), ("off", "on"), blank=0)
    x = torch.arange(24)[None]
    properties = Properties(x, x >= 0, (family,))
    on = codes[0].float()
    rarely = on * torch.where(torch.arange(24) == 23, 1.0, 0.15)[:, None]

    class One:
        device, units = "cpu", Units("neuron", ["u"])
        tables = {"val": rarely, "test": on}

    for labels, f1 in (([0, 1], 1.0), ([], 0.0)):
        evaluator = PositionEvaluator(One(), lambda split, count: properties)
        activity = lambda split, units=None: iter(  # noqa: E731
            [(One.tables[split], torch.cat([1 - codes[0], codes[0]], 1), torch.zeros(24, dtype=torch.int64))]
        )
        evaluator.activity = activity
        if not labels:
            One.tables["val"] = rarely * (torch.arange(24) < 10)[:, None]  # 5 activations: too few for a label
        score = BoardReconstruction()
        score.evaluate_positions(evaluator)
        counts = score.counts[0, -1].tolist()  # mode `highest`: correct, predicted, present
        assert evaluator.chosen.sign[:, 0, 1].nonzero()[:, 0].tolist() == labels
        assert counts == ([12, 12, 12] if f1 else [0, 0, 12])
        assert float(score.compute()["reconstruction"]) == f1


def test_published_coverage_counts_what_never_occurs_as_zero():
    """One square with four answers, blank first: one is detected, one is rare and missed, one is impossible."""
    codes = torch.zeros(1, 40, 1, dtype=torch.int8)
    codes[0, :20] = 1
    codes[0, 39] = 2
    x = torch.arange(40)[None]
    properties = Properties(x, x >= 0, (Family("square", codes, ("a1",), ("none", "x", "o", "z"), blank=0),))

    class One:
        device, units = "cpu", Units("neuron", ["u"])

        def activity(self, x, units=None):
            return (x < 20).float()[..., None]

    score = BoardCoverage()
    score.evaluate_positions(PositionEvaluator(One(), lambda split, count: properties))
    values = {name: float(value) for name, value in score.compute().items()}
    assert values["coverage"] == values["selected"] == 1
    assert values["published"] == pytest.approx(1 / 3)


def test_activity_that_is_not_finite_is_refused():
    evaluator = evaluator_of()
    evaluator.model.tables["val"][5, 3] = torch.nan
    with pytest.raises(ValueError, match="activity of the val sequences of input .* holds nan"):
        BoardCoverage().evaluate_positions(evaluator)


def test_units_in_pieces_and_a_sure_score(monkeypatch):
    whole = BoardCoverage(), BoardReconstruction()
    for score in whole:
        score.evaluate_positions(evaluator_of())
    monkeypatch.setattr("zoo.metrics.positions._evaluator.UNITS", 2)
    monkeypatch.setattr("zoo.metrics.positions._evaluator.ROWS", 3)
    parts = BoardCoverage(), BootstrapInterval(BoardReconstruction())
    for score, same in zip(parts, whole, strict=True):
        score.evaluate_positions(evaluator_of())
        readouts, wanted = score.compute(), same.compute()
        assert {key: float(readouts[key]) for key in wanted} == pytest.approx({k: float(v) for k, v in wanted.items()})
    assert (
        0
        <= float(readouts["reconstruction low"])
        < float(readouts["reconstruction"])
        < float(readouts["reconstruction high"])
        <= 1
    )


def test_units_that_are_the_board():
    """One unit for each property: every property is read, and nothing else."""
    evaluator, splits = evaluator_of(), {split: world(split)[0] for split in ("val", "test")}
    for split in splits:
        codes = splits[split].families[0].codes
        evaluator.model.tables[split] = (codes[..., None] == torch.arange(ANSWERS)).flatten(2).float().flatten(0, 1)
    evaluator.model.units = Units("neuron", [f"u{i}" for i in range(SQUARES * ANSWERS)])
    for score in (BoardCoverage(), BoardReconstruction()):
        score.evaluate_positions(evaluator)
        assert float(next(iter(score.compute().values()))) == 1


def test_product_is_exact(monkeypatch):
    g = torch.Generator().manual_seed(0)
    one, other = torch.rand(33, 700, generator=g) < 0.9, (torch.rand(700, 5, generator=g) < 0.9).to(torch.int8)
    wanted = one.double() @ other.double()
    for vnni in (True, False):  # the same counts, whatever the instructions of the CPU
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda vnni=vnni: {"avx512_vnni": vnni})
        assert in_8_bits() == vnni
        assert torch.equal(product(one, other).double(), wanted)
        assert product(one, other).dtype == torch.int32
        for shape in ((0, 700), (33, 0)):
            assert product(torch.zeros(shape), torch.zeros(shape[1], 5)).shape == (shape[0], 5)
    monkeypatch.delattr(torch, "_int_mm")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_vnni": True})
    assert torch.equal(product(one, other).double(), wanted)


def test_suite_notes():
    scores = [{"score": "board_coverage"}, {"score": "board_reconstruction"}, {"score": "detectors"}]
    splits = {split: world(split)[0] for split in ("val", "test")}
    ask = lambda split, count: splits[split]  # noqa: E731
    for model, properties, words in (
        (object(), ask, "n/a: the model gives no activity of its"),
        (Reader(), None, "n/a: no position labels in the data"),
        (Reader(), lambda *_: None, "n/a: no position labels in the data"),
    ):
        suite = Suite(scores, Reader().units, control=True, position_labels=properties)
        suite.evaluate_positions(model, lambda: None)
        assert all(result.note.startswith(words) for result in suite.compute().values())
    assert Suite(scores, Units("none", [])).compute()["detectors"].note == "n/a: the model has no units"
    suite = Suite(scores, Reader().units, control=True, position_labels=ask)
    suite.evaluate_positions(Reader(), Reader)
    results = suite.compute()
    assert list(results) == [
        "board_coverage",
        "board_coverage (random weights)",
        "board_reconstruction",
        "board_reconstruction (random weights)",
        "detectors",
    ]
    assert results["board_coverage (random weights)"].value == results["board_coverage"].value is not None
    assert results["board_coverage (random weights)"].protocol.endswith("/random")


def test_dead_units():
    score = DeadUnits(4)
    score.update(torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0]]).bool())
    readouts = score.compute()
    assert (float(readouts["dead"]), readouts["unit/rate"].tolist()) == (0.5, [1, 0.5, 0, 0])
    model = Reader()
    x = world("val")[0].x[:7]
    wanted = [
        [any(float(model.tables["val"][t, u]) > 0 for t in row if t >= 0) for u in range(U)] for row in x.tolist()
    ]
    batch = type("Batch", (), {"x": x})
    assert fires(model, batch, torch.zeros(7, U)).tolist() == wanted
    assert fires(object(), batch, torch.tensor([[0.0, 1.0, -1.0]])).tolist() == [[False, True, False]]


def test_wrong_properties():
    codes, x = torch.zeros(2, 3, 4, dtype=torch.int8), torch.zeros(2, 3, dtype=torch.int64)
    for make, words in (
        (lambda: Family("f", codes, ("a",), ("b",)), "codes of f are"),
        (lambda: Family("f", codes + 1, tuple("abcd"), ("b",)), "codes of f are 1 to 1"),
        (lambda: Family("f", codes, tuple("abcd"), ("b",), initial=torch.zeros(3)), "initial is"),
        (lambda: Properties(x, x, ()), "look is"),
        (lambda: Properties(x[:1], x[:1] == 0, (Family("f", codes, tuple("abcd"), ("b",)),)), "of .2, 3. positions"),
    ):
        with pytest.raises(ValueError, match=words):
            make()
