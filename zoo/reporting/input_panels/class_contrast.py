"""Why the explained class rather than another: by how much more each unit adds to it."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.explanation import Contrast
from zoo.registry import register
from zoo.reporting.bars import Bar, draw_bars
from zoo.reporting.context import PageContext
from zoo.reporting.numbers import decimals, show, whole
from zoo.reporting.panel import Panel
from zoo.reporting.shares import adds_little, share_of_contrast

BRIEF_LINES = 4  # of an input of a page with many


@dataclass(frozen=True)
class Line:
    """A unit, or the units of one variable or concept, with what it adds: its name, strength, bar and amount."""

    name: str
    strength: str
    bar: Bar
    amount: str


@register
class ClassContrast(Panel):
    """The units with the largest differences between two classes; the lines sum to the difference of the logits.

    Units of one group, such as the values of a variable, are one line. The panel begins with the share that units
    account for, and is the first of the reasons: the sum of one class depends on where its logits start.
    """

    order = 18
    region = "input"

    def applies(self, context: PageContext) -> bool:
        """Return whether a contrast was computed."""
        return context.contrast is not None

    def render(self, context: PageContext) -> str:
        """Return the share, bars and the sum; units that add next to nothing are among the others."""
        contrast, i = context.contrast, context.input_index
        assert contrast is not None
        contribution = contrast.contribution[i].double()
        total, base = float(contrast.difference[i]), float(contrast.base[i])
        groups = unit_groups(contrast, i)[: BRIEF_LINES if context.brief else None]
        values = [float(contribution[ids].sum()) for ids in groups]
        digits = decimals([total, base, *values])
        little = adds_little(values, float(contribution.abs().sum()))
        listed = [n for n, v in enumerate(values) if whole(v, digits) and not little[n]]
        shown = [values[n] for n in listed]
        amounts = [whole(value, digits) for value in shown]
        rest = float(contribution.sum()) - sum(shown)
        others = len(contrast.units) - sum(len(groups[n]) for n in listed)
        lines = [
            (f"{others} other {context.noun.one if others == 1 else context.noun.many}", whole(rest, digits)),
            (context.starting_value, whole(base, digits)),
        ]
        lines = [(label, amount) for label, amount in lines if amount]
        gap = whole(total, digits) - sum(amounts) - sum(amount for _, amount in lines)
        exact = contrast.is_exact and abs(float(contribution.sum()) + base - total) < 10**-digits
        if gap:
            lines.append(("rounding of the numbers above" if exact else "not captured by this sum", gap))
        names = [context.class_names[int(c[i])] for c in (contrast.target, contrast.against)]
        return self.fill(
            target=names[0],
            against=names[1],
            rows=[
                Line(*name_and_strength(context, groups[n]), bar, show(amount, digits, sign=True))
                for n, bar, amount in zip(listed, draw_bars(shown), amounts, strict=True)
            ],
            lines=[(label, show(amount, digits, sign=True)) for label, amount in lines],
            total=show(whole(total, digits), digits, sign=True),
            share=share_of_contrast(context, i) if exact else "",
            quantity=context.quantity,
            exact=exact,
        )


def unit_groups(contrast: Contrast, i: int) -> list[list[int]]:
    """Return the units of the largest differences for input ``i``, those of one group together, largest first."""
    contribution, group = contrast.contribution[i].double(), contrast.units.group
    count = contrast.shown.shape[1]
    if group is None or len(set(group)) == len(group):
        return [[unit] for unit in contrast.shown[i].tolist()]
    members: dict[str, list[int]] = {}
    for unit, name in enumerate(group):
        members.setdefault(name, []).append(unit)
    ranked = sorted(members.values(), key=lambda ids: -abs(float(contribution[ids].sum())))
    return ranked[:count]


def name_and_strength(context: PageContext, units: list[int]) -> tuple[str, str]:
    """Return the name of a unit, or of the strongest of a group, and its strength in words; empty if unknown."""
    i = context.input_index
    strength = context.explanation.strength[i]
    best = max(units, key=lambda unit: float(strength[unit]))
    words = context.strength_words[i].get(best, "") if context.strength_words else ""
    return context.vocabulary.names[best], words
