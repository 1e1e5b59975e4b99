"""What can be changed of one input: the columns of a row, or the concepts and units of a head, with their options."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.capabilities import UnitChoice
from zoo.concept_schema import ConceptSchema
from zoo.paths import did_you_mean
from zoo.what_if.affine_head import AffineHead
from zoo.what_if.feature_tables import FeatureTables

OTHER = "(other)"  # the level of rare and unknown values, which nobody can change to
REACH = 4.0  # standard deviations from the mean within which a continuous concept can change
FINE = 100  # steps of a number over the range of its cuts, in which a changed number is written


@dataclass(frozen=True)
class Slot:
    """One thing that can be changed.

    Attributes:
        name: of the column, concept or unit.
        now: what it is, in words.
        words: of its o options.
        values: of the options: a number of the row, or strengths by unit.
        delta: ``(o, c)`` change of each logit where this alone is changed.
        cost: ``(o,)`` size of the change, 0 to 1.
        span: of a number that can take any value, the value now and the lowest and highest that it can take.
        ends: the values of its options, which are the ends of that range other than the value now.
        first: the strengths now of the units that its options set.
    """

    name: str
    now: str
    words: tuple[str, ...]
    values: tuple[Any, ...]
    delta: np.ndarray
    cost: np.ndarray
    span: tuple[float, float, float] | None = None
    ends: tuple[float, ...] = ()
    first: tuple[float, ...] = ()


@dataclass(frozen=True)
class Choices:
    """Slots of one input.

    Attributes:
        slots: what can be changed.
        pairs: by two slots ``(i, j)``, i < j, what their options change together beyond their own changes, ``(o_i, o_j,
            c)``.
        what: what the slots are called, several of them.
        exact_ties: whether logits that are equal in principle are equal in every digit, as those of whole points.
    """

    slots: list[Slot]
    pairs: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    what: str = "columns"
    exact_ties: bool = False

    def only(self, allowed: Sequence[str] | None) -> Choices:
        """Return the slots with these names; None for all.

        Raises:
            ValueError: if there is no slot of a name.
        """
        if allowed is None:
            return self
        names = [slot.name for slot in self.slots]
        for name in allowed:
            if name not in names:
                near = did_you_mean(name, names)
                raise ValueError(
                    f"allowed names {name!r}, which cannot be changed{near}; expected some of {', '.join(names[:20])}"
                )
        kept = [i for i, name in enumerate(names) if name in set(allowed)]
        place = {i: n for n, i in enumerate(kept)}
        pairs = {(place[i], place[j]): p for (i, j), p in self.pairs.items() if i in place and j in place}
        return replace(self, slots=[self.slots[i] for i in kept], pairs=pairs)


def of_tables(tables: FeatureTables, row: np.ndarray) -> Choices:
    """Return the columns of a row ``(d,)`` with one option for each range of values that a term tells apart.

    The option of a range is the number in it that is nearest to the row's. The cost of a number is the share of the
    training rows between the bins of both values; that of a level, or of a missing value, is 1.
    """
    columns = sorted({axis.column for axis in tables.axes})
    options = {j: _values(tables, j, float(row[j])) for j in columns}
    now = tables.scores(row[None])[0]
    slots = []
    for j in columns:
        changed = np.repeat(row[None], len(options[j]), 0)
        changed[:, j] = options[j]
        delta = tables.as_logits(tables.scores(changed) - now) if len(options[j]) else np.zeros((0, 1))
        cost = np.array([_cost(tables, j, float(row[j]), value) for value in options[j]])
        words = tuple(tables.text(j, value) for value in options[j])
        slots.append(Slot(tables.names[j], tables.text(j, float(row[j])), words, tuple(options[j]), delta, cost))
    pairs = {}
    place = {j: n for n, j in enumerate(columns)}
    for term in tables.terms:
        if len(term.axes) < 2:
            continue
        one, two = (tables.axes[a] for a in term.axes)
        first, second = (axis.bin(np.array(options[axis.column])) for axis in (one, two))
        at, to = (int(axis.bin(row[axis.column : axis.column + 1])[0]) for axis in (one, two))
        table = term.table
        extra = table[np.ix_(first, second)] - table[first, to][:, None] - table[at, second][None] + table[at, to]
        key = (place[one.column], place[two.column])
        extra = tables.as_logits(extra)
        if key[0] > key[1]:
            key, extra = key[::-1], extra.transpose(1, 0, 2)
        pairs[key] = pairs[key] + extra if key in pairs else extra
    return Choices(slots, pairs, exact_ties=bool(tables.multiplier))


def _values(tables: FeatureTables, column: int, now: float) -> list[float]:
    """The values that a column can be changed to."""
    levels = tables.levels[column]
    if levels:
        return [float(k) for k, level in enumerate(levels) if k != now and level != OTHER]
    cuts = tables.cuts(column)
    if not len(cuts):
        return []
    spread = float(cuts[-1] - cuts[0]) or max(abs(float(cuts[0])), 1.0)
    whole = bool((np.mod(2 * cuts, 1) == 0).all()) and (math.isnan(now) or now.is_integer())
    digits = 0 if whole else max(0, math.ceil(-math.log10(spread / FINE)))
    rank = -1 if math.isnan(now) else int(np.searchsorted(cuts, now, side="right"))
    values = []
    for r in range(len(cuts) + 1):
        if r == rank:
            continue
        low, high = (float(cuts[r - 1]) if r else -math.inf), (float(cuts[r]) if r < len(cuts) else math.inf)
        value = _round_up(low, digits) if r > rank and r else _round_below(high, digits)
        if low <= value < high:
            values.append(value)
        else:  # no round number lies in it
            values.append(low if r > rank and r else float(np.nextafter(high, -math.inf)))
    return values


def _round_up(low: float, digits: int) -> float:
    return math.ceil(round(low * 10**digits, 6)) / 10**digits


def _round_below(high: float, digits: int) -> float:
    scaled = round(high * 10**digits, 6)
    return (math.ceil(scaled) - 1) / 10**digits


def _cost(tables: FeatureTables, column: int, now: float, value: float) -> float:
    if tables.levels[column] or math.isnan(now):
        return 1.0
    place, counts = tables.rows_of(column)
    one, two = (int(b) for b in place.bin(np.array([now, value])))
    below = np.concatenate([[0.0], np.cumsum(counts)])
    middle = (below[:-1] + below[1:]) / 2
    return abs(float(middle[two] - middle[one])) / max(float(counts.sum()), 1e-300)


def of_head(
    head: AffineHead,
    strength: Tensor,
    names: Sequence[str],
    *,
    i: int = 0,
    schema: ConceptSchema | None = None,
    ends: Tensor | None = None,
    values: Tensor | None = None,
    what: str = "units",
    named: Sequence[UnitChoice] = (),
) -> Choices:
    """Return the concepts of a head, or its units, for one of the inputs.

    A binary concept can be yes or no, a categorical one each of its values; the cost is by how much its probabilities
    change, 0 to 1. A continuous concept can take any value within four standard deviations of its mean; a change by
    that much costs 1. Without a schema a unit takes the values that it names, or else is switched off, at a cost of 1.

    Args:
        head: of the inputs.
        strength: ``(u,)`` of the input.
        names: of the u units.
        i: number of the input.
        schema: of the concepts.
        ends: ``(2, u)`` strengths that stand for the values 0 and 1 of the concepts.
        values: ``(u,)`` concepts that the model computed.
        what: what the units are called, several of them.
        named: the values that units can take by name: their words, each with strengths by unit, and their costs.
    """
    weight = (head.weight[i] if head.weight.ndim == 3 else head.weight).double().cpu()
    now = strength.double().cpu()

    def slot(name: str, words: str, options: Mapping[str, Mapping[int, float]], cost: Sequence[float]) -> Slot:
        delta = np.zeros((len(options), len(weight)))
        for n, option in enumerate(options.values()):
            ids = list(option)
            delta[n] = (weight[:, ids] @ (torch.tensor([*option.values()]).double() - now[ids])).numpy()
        return Slot(name, words, tuple(options), tuple(dict(o) for o in options.values()), delta, np.array(cost))

    if named:
        return Choices([slot(c.name, c.now, c.options, c.cost) for c in named], what=what)
    if schema is None or ends is None or values is None:
        off = head.neutral.double().cpu().tolist()
        slots = [slot(n, f"strength {float(now[u]):.3g}", {"off": {u: off[u]}}, [1.0]) for u, n in enumerate(names)]
        return Choices(slots, what=what)
    low, high = ends.double().cpu().tolist()
    share = values.double().cpu().tolist()
    slots = []
    for group in schema.group_names:
        ids = [u for u, g in enumerate(schema.groups) if g == group]
        kind = schema.concepts[ids[0]].kind
        if kind == "categorical":
            words = {schema.names[u].removeprefix(f"{group}: "): u for u in ids}
            options = {w: {u: high[u] if u == on else low[u] for u in ids} for w, on in words.items()}
            cost = [sum(abs(share[u] - float(u == on)) for u in ids) / 2 for on in words.values()]
            best = max(words, key=lambda w: share[words[w]])
            slots.append(slot(group, f"{best}, {100 * share[words[best]]:.0f} %", options, cost))
        elif kind == "binary":
            u = ids[0]
            said = f"{'yes' if share[u] >= 0.5 else 'no'}, {100 * share[u]:.0f} %"
            options = {"yes": {u: high[u]}, "no": {u: low[u]}}
            slots.append(slot(schema.names[u], said, options, [abs(1 - share[u]), abs(share[u])]))
        else:
            slots.append(_number_slot(slot, schema, ids[0], share[ids[0]], (low[ids[0]], high[ids[0]])))
    return Choices(slots, what=what)


def _number_slot(
    slot: Callable[..., Slot], schema: ConceptSchema, u: int, now: float, ends: tuple[float, float]
) -> Slot:
    """The slot of a continuous concept, whose options are the ends of its range."""
    concept = schema.concepts[u]
    reach = REACH * concept.std
    low, high = min(concept.mean - reach, now), max(concept.mean + reach, now)
    far = tuple(value for value in (low, high) if value != now)
    zero, one = ends
    options = {str(value): {u: zero + value * (one - zero)} for value in far}
    made = slot(
        schema.names[u], f"{now:.4g}".replace("-", "\u2212"), options, [abs(value - now) / reach for value in far]
    )
    return replace(made, span=(now, low, high), ends=far, first=(zero + now * (one - zero),))
