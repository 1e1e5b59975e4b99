"""A scoring card made by hand, whose rows often have even odds; its points over its multiplier are rounded."""

import itertools
import math

import numpy as np

import zoo
from zoo.inputs.table import TableInputs
from zoo.layers.additive import ColumnBins, Term
from zoo.layers.additive.purify import center
from zoo.task import Classification

MULTIPLIER = 2.3  # no binary fraction, so that points over it are rounded
POINTS = {"a": (0, 1, -2), "b": (0, -1, 3), "c": (0, 2, -3), "d": (0, 3, 1), "e": (0, -2, 4)}  # at 0, 1 and 2
BASE = -1
ROWS = [dict(zip(POINTS, values, strict=True)) for values in itertools.product((0.0, 1.0, 2.0), repeat=len(POINTS))]
TOTALS = [BASE + sum(points[int(row[name])] for name, points in POINTS.items()) for row in ROWS]


def card(order=tuple(POINTS), threshold=None):
    """A card of these points, its columns centered at random weights of their bins, the terms in some order."""
    numbers = np.random.default_rng(0)
    columns = {name: [0.0, 1.0, 2.0] * 8 for name in POINTS} | {"y": ["no", "yes"] * 12}
    model = zoo.create_model("scoring_card", num_classes=2, input_shape=[len(POINTS)]).eval()
    model.inputs = TableInputs.fit(columns, target="y", encoding="values")
    model.task = Classification(2, threshold=threshold)
    terms, base = {}, np.array([BASE / MULTIPLIER])
    for name, points in POINTS.items():
        axis = ColumnBins(name, "number", cuts=np.array([0.5, 1.5]), minimum=0.0, maximum=2.0)
        counts = np.array([0.0, *numbers.uniform(1, 9, 3), 0.0])
        table, mean = center(np.array([0, *points, 0])[:, None] / MULTIPLIER, counts)
        base = base + mean
        terms[name] = Term((axis,), table, counts)
    model.set_terms([terms[name] for name in order], base)
    model.multiplier.fill_(MULTIPLIER)
    return model


def threshold_at(total):
    """The probability of the second class at a total."""
    return 1 / (1 + math.exp(-total / MULTIPLIER))


def expected_class(total, threshold_total=None):
    """The rule in words: even odds are the first class; a probability at the threshold is the second."""
    return int(total > 0) if threshold_total is None else int(total >= threshold_total)


def inputs(model, rows=ROWS):
    return model.inputs.read([{name: str(value) for name, value in row.items()} for row in rows]).x
