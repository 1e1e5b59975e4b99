"""Edits of shape functions, each against a value worked out from the formula."""

import numpy as np
import pytest
import torch

import zoo
from zoo.layers.additive import ColumnBins, Term

COUNTS = np.array([1.0, 4.0, 3.0, 2.0, 0.0])  # missing, three bins of values, unknown


def centered(values, counts=COUNTS):
    return values - (counts * values).sum() / counts.sum()


def model(scores=1, pair=False):
    """One column of numbers in three bins, another of two, and on request their pair."""
    one = zoo.create_model("additive", num_classes=max(2, scores), input_shape=[2]).eval()
    x = ColumnBins("x0", "number", cuts=np.array([1.0, 2.0]), counts=COUNTS, minimum=0.0, maximum=3.0)
    other = np.array([0.0, 5.0, 5.0, 0.0])
    y = ColumnBins("x1", "number", cuts=np.array([1.0]), counts=other, minimum=0.0, maximum=2.0)
    table = centered(np.array([0.2, 0.5, -1.0, 0.4, 0.0]))
    terms = [
        Term((x,), np.repeat(table[:, None], scores, 1), COUNTS),
        Term((y,), np.repeat(np.array([0.0, 1.0, -1.0, 0.0])[:, None], scores, 1), other),
    ]
    if pair:
        joint = np.zeros((5, 4))
        joint[:, 1] = joint[:, 2] = COUNTS / 2
        terms.append(Term((x, y), np.zeros((5, 4, 1)), joint))
    one.set_terms(terms, np.full(scores, 0.5))
    return one


def values(of, unit=0, c=0):
    """What each bin adds to the score together with the base: that is what an edit sets."""
    return of.shape_functions()[unit].table[..., c] + float(of.core.intercept[c].detach())


OLD = values(model())
WAYS = {
    "set": ({"bins": "2..", "value": 2.0}, [OLD[0], OLD[1], OLD[2], 2.5, OLD[4]]),
    "move": ({"bins": [1, "1 to 2"], "by": -0.25}, [OLD[0], OLD[1] - 0.25, OLD[2] - 0.25, OLD[3], OLD[4]]),
    "delete": ({"bins": "missing"}, [0.5, *OLD[1:]]),
    "interpolate": ({}, [OLD[0], OLD[1], (OLD[1] + OLD[3]) / 2, OLD[3], OLD[4]]),
    "monotone": ({"direction": "up"}, [OLD[0], *[(4 * OLD[1] + 3 * OLD[2]) / 7] * 2, OLD[3], OLD[4]]),
    "flatten": ({"bins": "0..2"}, [OLD[0], *[(4 * OLD[1] + 3 * OLD[2]) / 7] * 2, OLD[3], OLD[4]]),
    "smooth": ({"strength": 1e7}, None),  # a straight line of least squares
}


@pytest.mark.parametrize("way", WAYS)
def test_an_edit_sets_what_the_formula_says_and_no_other_bin(way):
    arguments, expected = WAYS[way]
    old = model()
    edited = old.edit([{"operation": way, "unit": "x0", **arguments}])
    if expected is None:
        weight = np.sqrt(COUNTS[1:4])
        line = np.stack([np.ones(3), np.arange(3)], 1)
        fit = np.linalg.lstsq(line * weight[:, None], OLD[1:4] * weight, rcond=None)[0]
        expected = [OLD[0], *(line @ fit), OLD[4]]
    np.testing.assert_allclose(values(edited), expected, atol=1e-5 if way == "smooth" else 1e-12)
    for term in edited.shape_functions():
        assert abs((term.counts * term.table[..., 0]).sum()) < 1e-12
    assert torch.equal(edited.core.tables[5:], old.core.tables[5:])
    kept = old.edit([{"operation": way, "unit": "x0", **arguments, "mean": "keep"}])
    assert torch.equal(kept.core.intercept, old.core.intercept)
    assert torch.equal(kept.core.tables, edited.core.tables)


def test_the_whole_of_a_term_is_flattened_to_0_or_removed():
    x = torch.tensor([[0.5, 0.5], [1.5, torch.nan], [2.5, 1.5]])
    old = model()
    flat = old.edit([{"operation": "flatten", "unit": "x0"}])
    assert not flat.core.tables[:5].abs().gt(1e-12).any()
    gone = old.edit([{"operation": "remove", "unit": "x0"}])
    assert gone.units.names == ["x1"]
    torch.testing.assert_close(gone(x), flat(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(old.intervene(x, {0: 0.0}), gone(x), rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="it is the last term; flatten it instead"):
        gone.edit([{"operation": "remove", "unit": "x1"}])


def test_of_several_classes_one_class_is_edited():
    old = model(scores=3)
    edited = old.edit([{"operation": "set", "unit": "x0 (class 1)", "bins": [1], "value": 3.0}])
    np.testing.assert_allclose(values(edited, c=1)[1], 3.5)
    for c in (0, 2):
        np.testing.assert_array_equal(values(edited, c=c), values(old, c=c))


def test_an_edit_of_a_pair_changes_the_chosen_cells_and_all_terms_stay_pure():
    old = model(pair=True)
    edited = old.edit([{"operation": "set", "unit": "x0 x x1", "bins": {"x0": "1..2", "x1": [1]}, "value": 2.0}])
    rows = torch.tensor([[a, b] for a in (0.5, 1.5, 2.5) for b in (0.5, 1.5)], dtype=torch.float64)
    change = (edited.core(rows) - old.core(rows))[:, 0]
    torch.testing.assert_close(change, torch.tensor([0.0, 0.0, 2.0, 0.0, 0.0, 0.0]).double(), rtol=0, atol=1e-12)
    for term in edited.shape_functions():
        table = term.table[..., 0]
        assert abs((term.counts * table).sum()) < 1e-12
        if table.ndim == 2:
            for axis in (0, 1):
                assert np.abs((term.counts * table).sum(axis)).max() < 1e-12


MISTAKES = {
    "bin": ({"operation": "set", "bins": "9 to 10", "value": 1}, "column 'x0' has no bin '9 to 10'"),
    "number of a bin": ({"operation": "set", "bins": [5], "value": 1}, "column 'x0' has no bin 5; expected 0 to 4"),
    "order": ({"operation": "set", "bins": "2..1", "value": 1}, "expected the smaller number first"),
    "run": ({"operation": "monotone", "bins": [1, 3], "direction": "up"}, "expected 2 or more neighboring bins"),
    "two": ({"operation": "interpolate", "bins": [1, 2]}, "expected 3 or more neighboring bins"),
    "direction": (
        {"operation": "monotone", "direction": "upp"},
        "direction is 'upp'; .*did you mean up",
    ),
    "strength": ({"operation": "smooth", "strength": 0}, "strength is 0.0; expected a number above 0"),
    "mapping": ({"operation": "set", "bins": {"x0": [1]}, "value": 1}, "'x0' is one column"),
    "mean": ({"operation": "delete", "mean": "kep"}, "did you mean keep"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_changes_nothing(mistake):
    edit, words = MISTAKES[mistake]
    old = model()
    state = {key: value.clone() for key, value in old.state_dict().items()}
    with pytest.raises(ValueError, match=words) as error:
        old.edit([{"unit": "x0", **edit}])
    assert "\n" not in str(error.value)
    assert all(torch.equal(value, state[key]) for key, value in old.state_dict().items())


def test_a_card_moves_by_whole_points_and_keeps_its_sum():
    card = zoo.load("scoring_card-adult")
    edited = card.edit([{"operation": "move", "unit": "age", "bins": [1], "by": 1.4 / float(card.multiplier)}])
    old, new = ([line.points for line in of.card() if line.column == "age"] for of in (card, edited))
    seen = [int(c) for c in np.flatnonzero(card.shape_functions()[0].counts > 0)]
    change = {code: n - o for code, o, n in zip(seen, old, new, strict=True)}
    assert change.pop(1) - min(change.values()) == 1, "1.4 points are 1"
    assert len(set(change.values())) == 1
    lowest = [float(term.table[term.counts > 0].min()) for term in edited.shape_functions()]
    points = float(edited.core.intercept[0].detach()) + sum(lowest)
    assert abs(points * float(card.multiplier) - edited.base_points()) < 1e-9
    with pytest.raises(ValueError, match="holds whole points"):
        card.edit([{"operation": "move", "unit": "age", "by": 1, "mean": "keep"}])
    untabulated = zoo.create_model("nam", num_classes=2, input_shape=[2], hidden=[4], members=1).eval()
    with pytest.raises(ValueError, match="its networks are not tabulated"):
        untabulated.edit([{"operation": "flatten", "unit": "x0"}])
