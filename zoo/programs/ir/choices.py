"""The values that the variables of a program can take at the queried position."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.capabilities import UnitChoice
from zoo.programs.ir.program import Program


def program_choices(program: Program, strength: Sequence[float]) -> list[UnitChoice]:
    """Return for each variable that the read-out reads its other values, with the strengths of its units.

    A count can be any other count, at a cost of its change divided by the largest; a category any other, at a cost of
    1. In a pooled program the strength of a category is a share of the positions, which no other value replaces as a
    whole: there a category can be absent or be that of all positions.

    Args:
        program: of the read-out.
        strength: ``(u,)`` of one input.
    """
    choices = []
    for name in program.reads:
        domain, columns = program.domains[name], program.columns(name)
        ids = list(range(columns.start, columns.stop))
        if domain.number:
            now, largest = strength[ids[0]], max(domain.size - 1, 1)
            values = [v for v in range(domain.size) if v != now]
            options = {str(v): {ids[0]: float(v)} for v in values}
            choices.append(UnitChoice(name, f"{now:.3g}", options, [abs(v - now) / largest for v in values]))
            continue
        best = max(ids, key=lambda u: strength[u])
        words = domain.show(ids.index(best)) if strength[best] == 1 else f"{domain.show(ids.index(best))} most often"
        others = [u for u in ids if strength[u] != 1]
        options = {domain.show(ids.index(on)): {u: float(u == on) for u in ids} for on in others}
        choices.append(UnitChoice(name, words, options, [1.0 - strength[on] for on in others]))
    return choices
