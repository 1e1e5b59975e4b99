"""Read-outs of programs fitted again, and read-outs without some of their variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from zoo.programs.ir.program import Program
from zoo.programs.label_positions import LabeledPositions
from zoo.programs.learn.linear_readout import fit, rounded


def without(program: Program, name: str, mean: Tensor) -> Program:
    """Return the program whose read-out ignores a variable.

    Args:
        program: to change.
        name: of the variable.
        mean: ``(units of the variable,)`` mean strengths, whose effect is added to the bias.
    """
    at = program.columns(name)
    bias = program.bias + program.weight[:, at] @ mean
    weight = torch.cat([program.weight[:, : at.start], program.weight[:, at.stop :]], 1)
    return replace(program, reads=tuple(n for n in program.reads if n != name), weight=weight, bias=bias)


def without_all(program: Program, names: Sequence[str], features: Tensor) -> Program:
    """Return the program whose read-out ignores some variables, with the means of ``features`` ``(q, u)``."""
    means = {name: features[:, program.columns(name)].mean(0) for name in names}
    for name, mean in means.items():
        program = without(program, name, mean)
    return program


def refitted(program: Program, train: LabeledPositions, l2: float, *, steps: int = 60) -> Program:
    """Return the program with its read-out fitted, starting from the present one.

    Units without any weight stay without, unless no unit has a weight.
    """
    used = program.weight.any(0)
    used = used if bool(used.any()) else ~used
    weight = torch.zeros_like(program.weight)
    features = train.features(program)[:, used]
    weight[:, used], bias = fit(features, train.y, program.weight[:, used], program.bias, l2=l2, steps=steps)
    return replace(program, weight=weight, bias=bias)


def fitted(program: Program, train: LabeledPositions, *, l2: float = 1e-6, bits: int = 6) -> Program:
    """Return the program with its read-out fitted, or as it is if that is more accurate.

    Weights are rounded to multiples of ``2 ** -bits`` in either case.
    """
    candidates = [rounded(p.weight, p.bias, bits) for p in (refitted(program, train, l2, steps=300), program)]
    return max((replace(program, weight=w, bias=b) for w, b in candidates), key=train.accuracy)
