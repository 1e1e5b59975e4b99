"""Stability of explanations that need no parts: which units, in which order, and at which locations.

Source: Alvarez-Melis, Jaakkola, On the Robustness of Interpretability Methods, 2018 (the idea); the read-outs are
defined here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.explanation import gather
from zoo.metrics.base import Perturbation, Record, Score, count, expect
from zoo.metrics.parts._localization import peak
from zoo.metrics.parts._sample_rows import agreement, cosine, overlap
from zoo.metrics.perturbations._text_change import TextChange
from zoo.metrics.perturbations.noise import Change
from zoo.metrics.perturbations.perturbation_list import check_draws, label
from zoo.metrics.perturbations.perturbation_list import perturbation as chosen
from zoo.registry import register

SETS = ("overlap", "rank", "cosine")


@register
class ExplanationStability(Score):
    """How much of an explanation is left when the input changes in a way that should not matter, mean over inputs.

    ``overlap``, the headline: Jaccard overlap of the units shown before and after, which are the ``top`` units that add
    most to the logit explained, as far as they add more than 0 (nothing shown on both sides: 1). Further read-outs:
    ``rank`` Spearman's correlation of the contributions of all units, ties sharing their mean rank (both constant: 1,
    one: 0); ``cosine`` of the contributions, without an offset (both zero: 1, one: 0); ``displacement`` mean distance
    of the locations of shown units from where they should be, in pixels or tokens (NaN without places);
    ``draws`` and ``spread`` (standard deviation of the overlap over draws).

    With a change of texts (``typos``, ``casing``, ``punctuation``, ``clause``, ``synonyms``) also ``changed``, the
    share of inputs whose tokens changed at all (the others count as they are: 1), ``overlap of changed``, the overlap
    of those alone (NaN if there are none), and ``same answer``, the share of inputs whose answer stays.

    With a perturbation that maps places, such as a flip, this is equivariance of the explanation.

    Args:
        perturbation: one of ``perturbations.PERTURBATIONS``, by name or with its settings, as in
            ``{name: shift, pixels: 8}`` or ``{name: typos, number: 2}``, or a function of (batch, draw).
        top: number of units shown.
        draws: number of perturbed copies of each input.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        Units 0 and 1 are shown before, units 0 and 2 after: one of three in common.

        >>> score = ExplanationStability(top=2)
        >>> score.update(torch.tensor([[3.0, 2.0, 0.0]]), torch.tensor([[3.0, 0.0, 2.0]]))
        >>> round(float(score.compute()["overlap"]), 3)
        0.333
    """

    title = "Explanation stability"
    meaning = "Jaccard overlap of the shown units before and after a perturbation"
    requires = frozenset({"units"})
    inputs = {
        "before": "finite",
        "after": "finite",
        "moved": "finite",
        "gate": "binary",
        "differs": "binary",
        "same_answer": "binary",
    }
    intervals = {
        "overlap": ("", 0, 1),
        "rank": ("", -1, 1),
        "cosine": ("", -1, 1),
    }
    overlap: Tensor
    rank: Tensor
    cosine: Tensor
    moved: Tensor
    placed: Tensor
    pairs: Tensor
    differing: Tensor
    differing_overlap: Tensor
    kept_answers: Tensor

    def __init__(
        self, perturbation: str | Mapping[str, Any] | Perturbation = "noise", *, top: int = 10, draws: int = 1
    ) -> None:
        super().__init__()
        self.change, self.top, self.draws = chosen(perturbation), count("top", top), count("draws", draws)
        check_draws(self.change, self.draws)
        self.protocol = self._variant(f"zoo-explanation-stability-v1/{label(self.change)}", top=self.top)
        self.perturbations = [(self.change, draw) for draw in range(self.draws)]
        for name in SETS:
            self._sum(name, self.draws, dtype=torch.float64)
        self._sum("moved", dtype=torch.float64)
        self._sum("placed")
        self._sum("pairs", self.draws)
        if isinstance(self.change, TextChange):
            self._sum("differing")
            self._sum("differing_overlap", dtype=torch.float64)
            self._sum("kept_answers")

    def update(
        self,
        before: Tensor,
        after: Tensor,
        moved: Tensor | None = None,
        gate: Tensor | None = None,
        *,
        differs: Tensor | None = None,
        same_answer: Tensor | None = None,
        draw: int = 0,
    ) -> None:
        """Add a batch of pairs.

        Args:
            before: ``(b, u)`` contributions to the logit explained.
            after: ``(b, u)`` the same under the perturbation.
            moved: ``(b, k)`` distances of places from where they should be; None if units have none.
            gate: ``(b, k)`` bool, which of them count; None for all.
            differs: ``(b,)`` bool, whether the tokens of an input changed; read with a change of texts, None for all.
            same_answer: ``(b,)`` bool, whether the answer stays; read with a change of texts, None for all.
            draw: number of the draw, from 0.

        Raises:
            ValueError: if a shape does not fit, or there is no such draw.
        """
        expect("before", before, None, None)
        expect("after", after, *before.shape)
        if not 0 <= draw < self.draws:
            raise ValueError(f"draw is {draw}; this score was made for {self.draws} draws, numbered from 0")
        self._check(before=before, after=after, moved=moved, gate=gate, differs=differs, same_answer=same_answer)
        one, two = before.detach().to(self.device).double(), after.detach().to(self.device).double()
        column = (torch.arange(self.draws, device=self.device) == draw).double()
        values = (overlap(one, two, self.top), agreement(one, two), cosine(one, two))
        for name, value in zip(SETS, values, strict=True):
            self._add(name, value[:, None] * column)
        self._add("pairs", column.long().expand(len(one), -1))
        if moved is not None:
            expect("moved", moved, len(one), None)
            counts = torch.ones_like(moved, dtype=torch.bool) if gate is None else gate
            expect("gate", counts, *moved.shape)
            counts = counts.to(self.device).bool()
            self._add("moved", torch.where(counts, moved.to(self.device).double(), 0).sum(1))
            self._add("placed", counts.sum(1))
        if isinstance(self.change, TextChange):
            every = torch.ones(len(one), dtype=torch.bool, device=self.device)
            for name, rows in (("differs", differs), ("same_answer", same_answer)):
                if rows is not None:
                    expect(name, rows, len(one))
            other = every if differs is None else differs.to(self.device).bool()
            self._add("differing", other.long())
            self._add("differing_overlap", torch.where(other, values[0], 0))
            self._add("kept_answers", (every if same_answer is None else same_answer.to(self.device).bool()).long())
        self._add("samples", torch.full((len(one),), int(draw == 0), device=self.device))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        if changed is None:
            raise ValueError("changed is None; expected the record under the perturbation")
        batch, explanations = record.batch, (record.explanation, changed.explanation)
        was, now, moved = places(record), places(changed), None
        gate = (explanations[0].shown >= 0) & (gather(explanations[0].contribution, explanations[0].shown) > 0)
        differs = same_answer = None
        if isinstance(self.change, TextChange):
            differs = (batch.x != changed.batch.x).any(1)
            same_answer = explanations[0].logits.argmax(1) == explanations[1].logits.argmax(1)
        if was is not None and now is not None:
            if isinstance(self.change, TextChange):
                was = self.change.token_places(was, batch, draw, record.model)
                gate = gate & _has_place(record) & _has_place(changed)
            elif isinstance(self.change, Change):
                size = batch.x.shape[-2:] if batch.x.ndim == 4 else batch.x.shape[1:]
                was = self.change.place(was, batch.index, draw, tuple(size))
            gap = (now - was).double()
            moved = torch.linalg.vector_norm(gap, dim=-1) if gap.ndim == 3 else gap.abs()
        before, after = explanations[0].contribution, explanations[1].contribution
        self.update(before, after, moved, gate, differs=differs, same_answer=same_answer, draw=draw)

    def compute(self) -> dict[str, Tensor]:
        """The overlap and its read-outs; see the class."""
        of = {name: getattr(self, name) / self.pairs for name in SETS}
        readouts = {name: value.mean() for name, value in of.items()} | {
            "displacement": self.moved / self.placed,
            "draws": torch.tensor(self.draws, device=self.device),
            "spread": of["overlap"].std(correction=0),
        }
        if isinstance(self.change, TextChange):
            pairs = self.pairs.sum().double()
            readouts["changed"] = self.differing / pairs
            readouts["overlap of changed"] = self.differing_overlap / self.differing
            readouts["same answer"] = self.kept_answers / pairs
        return readouts | {"support": self.samples}


def _has_place(record: Record) -> Tensor:
    """Return whether each shown unit ``(b, k)`` has evidence at any token."""
    where = record.explanation.where
    assert where is not None
    return (where != 0).any(-1)


def places(record: Record) -> Tensor | None:
    """Return locations of shown units: centers of pixels ``(b, k, 2)``, or tokens ``(b, k)``; None without."""
    where, x = record.explanation.where, record.batch.x
    if where is not None and where.ndim == 4 and x.ndim == 4:
        return (peak(where, record.size) if record.peaks is None else record.peaks) + 0.5
    return where.argmax(-1) if where is not None and where.ndim == 3 and not x.is_floating_point() else None
