"""Labeled positions of sequences, on which programs are fitted and evaluated, and how batches hold them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.programs.ir.interpreter import run, strengths
from zoo.programs.ir.program import Program
from zoo.sequence_spec import NOTHING, Frame


@dataclass(frozen=True)
class LabeledPositions:
    """Positions of sequences with the class of the correct answer at each.

    Attributes:
        codes: ``(s, length)`` sequences.
        positions: ``(q, 2)`` sequence and position of each label; the position has no meaning for a pooled program;
            None for one label per sequence of a pooled program.
        y: ``(q,)`` classes.
    """

    codes: Tensor
    positions: Tensor | None
    y: Tensor

    def features(self, program: Program) -> Tensor:
        """Return the strength ``(q, u)`` of each unit of the read-out."""
        variables = run(program, self.codes, check=False)
        return self.per_label(program, strengths(program, variables, self.codes != NOTHING, self.positions))

    def logits(self, program: Program) -> Tensor:
        """Return the logits ``(q, c)``."""
        return self.features(program) @ program.weight.T + program.bias

    def per_label(self, program: Program, rows: Tensor) -> Tensor:
        """Return one row for each label, given one for each sequence if the program is pooled."""
        return rows[self.positions[:, 0]] if program.pooled and self.positions is not None else rows

    def accuracy(self, program: Program) -> float:
        """Return the share of correct answers, between 0 and 1."""
        return float((self.logits(program).argmax(1) == self.y).double().mean())

    def take(self, sequences: Tensor) -> LabeledPositions:
        """Return the labels of some sequences, given as a mask ``(s,)``."""
        if self.positions is None:
            return LabeledPositions(self.codes[sequences], None, self.y[sequences])
        kept = sequences[self.positions[:, 0]]
        number = sequences.long().cumsum(0) - 1
        positions = torch.stack([number[self.positions[kept, 0]], self.positions[kept, 1]], 1)
        return LabeledPositions(self.codes[sequences], positions, self.y[kept])

    def sample(self, count: int, seed: int = 0) -> LabeledPositions:
        """Return the labels of ``count`` random sequences."""
        key = torch.randperm(len(self.codes), generator=torch.Generator().manual_seed(seed)).to(self.codes.device)
        return self.take(key < count)

    def split_every(self, n: int) -> tuple[LabeledPositions, LabeledPositions]:
        """Return the labels of all but every n-th sequence, and those of every n-th."""
        last = torch.arange(len(self.codes), device=self.codes.device) % n == n - 1
        return self.take(~last), self.take(last)


def read_rows(frame: Frame, x: Tensor, *, pooled: bool) -> tuple[Tensor, Tensor]:
    """Return the sequences and label positions in rows as ``zoo.data`` serves labeled sequences.

    Args:
        frame: format of the sequences.
        x: ``(b, 1 + length)`` with the position of the label in front; ``(b, length)`` for one label per sequence.
        pooled: whether there is one label per sequence.

    Returns:
        Sequences ``(s, length)``, equal neighbors joined, and sequence and position ``(b, 2)`` of each label.

    Raises:
        ValueError: if the shape is wrong, a row is not a sequence, or a position is behind its end.

    Example:
        >>> rows = torch.tensor([[0, 1, 0, -1], [1, 1, 0, -1]])
        >>> codes, positions = read_rows(Frame(("a", "b"), length=3), rows, pooled=False)
        >>> codes.tolist(), positions.tolist()
        ([[1, 0, -1]], [[0, 0], [0, 1]])
    """
    if x.ndim != 2 or x.shape[1] != frame.length + (not pooled):
        kind = "for a pooled program" if pooled else "with the position of the label in front"
        raise ValueError(f"inputs are {tuple(x.shape)}; expected (b, {frame.length + (not pooled)}), {kind}")
    x = x.long()
    codes = x if pooled else x[:, 1:]
    position = x.new_zeros(x.shape[0]) if pooled else x[:, 0]
    if torch.compiler.is_exporting():  # a graph joins and refuses nothing
        return codes, torch.stack([torch.arange(x.shape[0], device=x.device), position], 1)
    new = torch.ones(len(x), dtype=torch.bool, device=x.device)
    new[1:] = (codes[1:] != codes[:-1]).any(1)
    sequence = new.cumsum(0) - 1
    codes = codes[new]
    frame.check(codes)
    if len(x) and bool(((position < 0) | (position >= (codes != NOTHING).sum(1)[sequence])).any()):
        outside = f"{int(position.min())} to {int(position.max())}"
        raise ValueError(f"label positions are {outside}; expected positions inside their sequences")
    return codes, torch.stack([sequence, position], 1)


def shares(frame: Frame, codes: Tensor, positions: Tensor, right: Tensor, *, pooled: bool) -> dict[str, float]:
    """Return the share of sequences with only correct answers, and the accuracy for each number of words.

    Args:
        frame: format of the sequences.
        codes: ``(s, length)``
        positions: ``(q, 2)`` sequence and position.
        right: ``(q,)`` bool, whether each answer is correct.
        pooled: whether there is one label per sequence.
    """
    wrong = torch.zeros(len(codes), dtype=torch.int64).index_add(0, positions[:, 0], (~right).long())
    metrics = {} if pooled else {"sequence accuracy": float((wrong == 0).double().mean())}
    words = ((codes != NOTHING).sum(1) - len(frame.before) - len(frame.after))[positions[:, 0]]
    sizes = words.unique().tolist()
    if len(sizes) > 1:
        metrics |= {f"accuracy at length {n}": float(right[words == n].double().mean()) for n in sizes}
    return metrics
