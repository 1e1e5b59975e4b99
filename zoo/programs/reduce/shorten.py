"""Shortening: fewer lines of the exported file, least harmful changes first, as far as accuracy allows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import torch
import torch.nn.functional as F

from zoo.programs.codegen.printer import print_program
from zoo.programs.ir.program import Program
from zoo.programs.ir.reachability import reachable
from zoo.programs.label_positions import LabeledPositions
from zoo.programs.reduce.changes import changes
from zoo.programs.reduce.refit import refitted, without
from zoo.programs.reduce.simplify import simplify


def lines(program: Program) -> int:
    """Return the number of lines of the program as a Python file."""
    return len(print_program(program, name="p").splitlines())


def shrink(
    program: Program,
    train: LabeledPositions,
    choose: LabeledPositions,
    *,
    cost: float,
    l2: float,
    sample: int = 1000,
) -> Program:
    """Return a shorter program: fewer variables in the read-out, then ``changes`` in order of loss per saved line.

    Args:
        program: to shorten.
        train: the read-out is fitted on these.
        choose: accuracy is measured on these.
        cost: largest accuracy that may be lost, between 0 and 1.
        l2: penalty of the fit.
        sample: number of training sequences on which the loss is measured.
    """
    return _Shortener(train, choose, train.sample(sample), l2).shorten(at_zero(program), cost)


class _Shortener:
    """The data that decide which changes are kept.

    Args:
        train: the read-out is fitted on these.
        choose: accuracy is measured on these.
        sample: loss is measured on these, a part of ``train``.
        l2: penalty of the fit.
    """

    def __init__(self, train: LabeledPositions, choose: LabeledPositions, sample: LabeledPositions, l2: float) -> None:
        self.train = train
        self.choose = choose
        self.sample = sample
        self.l2 = l2
        self.limit = 0.0

    def shorten(self, program: Program, cost: float) -> Program:
        """Return the program after rounds of changes, until none is left that accuracy allows."""
        self.limit = self.choose.accuracy(program) - cost
        while True:
            before = program
            program = self._with_fewer_reads(program)
            program = self._with_changes(program)
            if program is before:
                return program

    def _with_fewer_reads(self, program: Program) -> Program:
        """Leave variables out of the read-out, refit it, and start with those whose loss is smallest."""
        loss = {name: self._loss(self._left_out(program, name, self.sample, steps=20)) for name in program.reads}
        for name in sorted(loss, key=loss.__getitem__):
            if name in program.reads:
                trial = at_zero(simplify(self._left_out(program, name, self.train, steps=60)))
                if self._is_shorter(trial, program):
                    program = trial
        return program

    def _with_changes(self, program: Program) -> Program:
        """Apply all changes that accuracy allows and refit the read-out; return the same object if there is none."""
        loss = self._loss(program)
        size = lines(program)
        candidates = []
        for change in changes(program, self.sample):
            trial = simplify(change(program))
            saved = size - lines(trial)
            if saved > 0:
                candidates.append(((self._loss(trial) - loss) / saved, len(candidates), change))
        shorter = program
        for _, _, change in sorted(candidates):
            trial = simplify(change(shorter))
            if self._is_shorter(trial, shorter):
                shorter = trial
        if shorter is program:
            return program
        return max(at_zero(refitted(shorter, self.train, self.l2)), at_zero(shorter), key=self.choose.accuracy)

    def _is_shorter(self, trial: Program, program: Program) -> bool:
        return lines(trial) < lines(program) and self.choose.accuracy(trial) >= self.limit

    def _left_out(self, program: Program, name: str, train: LabeledPositions, *, steps: int) -> Program:
        mean = train.features(program)[:, program.columns(name)].mean(0)
        return refitted(without(program, name, mean), train, self.l2, steps=steps)

    def _loss(self, program: Program) -> float:
        return float(F.cross_entropy(self.sample.logits(program), self.sample.y))


def at_zero(program: Program) -> Program:
    """Return the same function with the most frequent scores among the values of each category moved to the bias.

    These scores become zero and need no line.
    """
    weight = program.weight.clone()
    bias = program.bias.clone()
    known = reachable(program)
    for name in program.reads:
        if program.domains[name].number:
            continue
        start = program.columns(name).start
        rows = Counter(map(tuple, weight[:, [start + value for value in sorted(known[name])]].T.tolist()))
        origin = torch.tensor(rows.most_common(1)[0][0]).to(weight)
        weight[:, program.columns(name)] -= origin[:, None]
        bias += origin
    return replace(program, weight=weight, bias=bias)
