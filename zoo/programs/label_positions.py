"""Labelled questions to programs, and how they stand in the rows of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.programs.ir.interpreter import run, strengths
from zoo.programs.ir.program import Program
from zoo.sequence_spec import NOTHING, Frame


@dataclass(frozen=True)
class Questions:
    """Labelled questions to a program.

    Attributes:
        codes: ``(s, length)`` sequences.
        asked: ``(q, 2)`` sequence and position of each question, the position without meaning for a pooled program;
            None to ask a pooled program about each sequence once.
        y: ``(q,)`` class of each answer.
    """

    codes: Tensor
    asked: Tensor | None
    y: Tensor

    def features(self, program: Program) -> Tensor:
        """Strength ``(q, u)`` of each unit."""
        found = run(program, self.codes, check=False)
        return self.answers_of(program, strengths(program, found, self.codes != NOTHING, self.asked))

    def answers_of(self, program: Program, rows: Tensor) -> Tensor:
        """One row for each question, from one for each sequence if the program is pooled."""
        return rows[self.asked[:, 0]] if program.pooled and self.asked is not None else rows

    def accuracy(self, program: Program) -> float:
        """Share answered rightly."""
        said = (self.features(program) @ program.weight.T + program.bias).argmax(1)
        return float((said == self.y).double().mean())

    def take(self, sequences: Tensor) -> Questions:
        """The questions about some sequences, by a mask ``(s,)``."""
        if self.asked is None:
            return Questions(self.codes[sequences], None, self.y[sequences])
        kept = sequences[self.asked[:, 0]]
        number = sequences.long().cumsum(0) - 1
        asked = torch.stack([number[self.asked[kept, 0]], self.asked[kept, 1]], 1)
        return Questions(self.codes[sequences], asked, self.y[kept])

    def some(self, count: int, seed: int = 0) -> Questions:
        """The questions about so many random sequences."""
        key = torch.randperm(len(self.codes), generator=torch.Generator().manual_seed(seed)).to(self.codes.device)
        return self.take(key < count)

    def parted(self, n: int) -> tuple[Questions, Questions]:
        """All but every n-th sequence, and every n-th."""
        last = torch.arange(len(self.codes), device=self.codes.device) % n == n - 1
        return self.take(~last), self.take(last)


def read_rows(frame: Frame, x: Tensor, *, pooled: bool) -> tuple[Tensor, Tensor]:
    """Sequences and questions in rows as ``zoo.data.labeled_sequences`` serves them.

    Args:
        frame: what sequences look like.
        x: ``(b, 1 + length)``, the position asked in front; ``(b, length)`` where the whole sequence is asked.
        pooled: whether it is.

    Returns:
        Sequences ``(s, length)``, neighbours that are alike taken together, and the sequence and position ``(b, 2)`` of
        each question.

    Raises:
        ValueError: if the shape is wrong, a row holds no sequence, or a position beyond its end is asked.
    """
    if x.ndim != 2 or x.shape[1] != frame.length + (not pooled):
        kind = "to a pooled program" if pooled else "with the position asked in front"
        raise ValueError(f"inputs are {tuple(x.shape)}; expected (b, {frame.length + (not pooled)}), {kind}")
    x = x.long()
    codes = x if pooled else x[:, 1:]
    new = torch.ones(len(x), dtype=torch.bool, device=x.device)
    new[1:] = (codes[1:] != codes[:-1]).any(1)
    which, codes = new.cumsum(0) - 1, codes[new]
    frame.check(codes)
    asked = torch.zeros_like(which) if pooled else x[:, 0]
    if len(x) and bool(((asked < 0) | (asked >= (codes != NOTHING).sum(1)[which])).any()):
        raise ValueError(f"positions {int(asked.min())} to {int(asked.max())} are asked; they must be in the sequence")
    return codes, torch.stack([which, asked], 1)


def shares(frame: Frame, codes: Tensor, asked: Tensor, right: Tensor, *, pooled: bool) -> dict[str, float]:
    """Share of the sequences that are answered rightly throughout, and of the questions by number of words.

    Args:
        frame: what sequences look like.
        codes: ``(s, length)``
        asked: ``(q, 2)`` sequence and position.
        right: ``(q,)`` bool.
        pooled: whether there is one question for each sequence.
    """
    wrong = torch.zeros(len(codes), dtype=torch.int64).index_add(0, asked[:, 0], (~right).long())
    told = {} if pooled else {"sequence accuracy": float((wrong == 0).double().mean())}
    words = ((codes != NOTHING).sum(1) - len(frame.before) - len(frame.after))[asked[:, 0]]
    sizes = words.unique().tolist()
    return told | {f"accuracy at length {n}": float(right[words == n].double().mean()) for n in sizes if len(sizes) > 1}
