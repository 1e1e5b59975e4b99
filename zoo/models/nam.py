"""Neural additive model: one small network for each number, tabulated into the tables of an additive model.

Source: Agarwal, Melnick, Frosst, Zhang, Lengerich, Caruana, Hinton, Neural Additive Models: Interpretable Machine
Learning with Neural Nets, NeurIPS 2021.

Unlike there, classes are not balanced in training, so that probabilities stay calibrated,
and after training the networks are read into tables over bins, which then predict.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.layers.additive import ColumnBins, Term, fit_bins
from zoo.layers.additive.fit_batches import rows_of
from zoo.layers.additive.purify import center
from zoo.layers.additive_model import AdditiveModel
from zoo.layers.column_nets import ColumnNets, HiddenUnits
from zoo.registry import register

log = logging.getLogger("zoo")


@register
class NAM(AdditiveModel):
    """Networks of numbers and free tables of levels and missing cells; ``tabulate`` makes one table of each column.

    A phase without epochs calls ``set_bins`` before training, and ``tabulate`` after it.

    Args:
        hidden: widths of the hidden layers of each network.
        hidden_units: of the first layer: ``relu`` for smooth functions, ``exu`` for jumps.
        members: networks of each column that are trained side by side; their tables are averaged, and their spread
            gives the bands.
        dropout: of the hidden layers.
        column_dropout: probability of leaving a column out of the sum in training.
        common: the arguments of ``zoo.layers.additive_model.AdditiveModel``.

    Attributes:
        scale: ``(2, d)`` middle and half of the range of the training values of each column.
        free: ``(D,)`` 1 for cells that are trained as they are: levels and missing values.
        tabulated: ``()`` whether the tables predict alone.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("nam", num_classes=2, input_shape=[3], hidden=[8], members=2).eval()
        >>> model(torch.zeros(4, 3)).shape, model.units.names
        (torch.Size([4, 2]), ['x0', 'x1', 'x2'])
    """

    terms = ("task", "output")
    scale: Tensor
    weight_properties = ("units", "is_tabulated")
    free: Tensor
    tabulated: Tensor

    def __init__(
        self,
        *,
        hidden: list[int] = [64, 32],  # noqa: B006
        hidden_units: HiddenUnits = "relu",
        members: int = 4,
        dropout: float = 0.0,
        column_dropout: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if not 0 <= column_dropout < 1:
            raise ValueError(f"column_dropout is {column_dropout}; expected a probability below 1")
        columns, scores = len(self.core.term_axes), len(self.core.intercept)
        self.column_dropout = column_dropout
        self.nets = ColumnNets(
            columns, scores, members=members, hidden=hidden, units=hidden_units, dropout=dropout
        ).double()
        self.core.tables.requires_grad_(True)
        self.core.intercept.requires_grad_(True)
        self.register_buffer("scale", torch.stack([torch.zeros(columns), torch.ones(columns)]).double())
        self.register_buffer("free", torch.zeros(len(self.core.tables), dtype=torch.float64))
        self.register_buffer("tabulated", torch.zeros((), dtype=torch.bool))

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``nets``, ``tables`` and ``intercept``."""
        return {"nets": self.nets, **super().trainable_parts()}

    def part_of(self, key: str) -> str:
        """Return the name of the trainable part that a tensor of the state dict belongs to."""
        return "nets" if key.startswith("nets.") else super().part_of(key)

    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take the sizes of all tables from a state about to be loaded."""
        super().resize_for(state, prefix)
        if f"{prefix}free" in state:
            self.free = torch.zeros_like(state[f"{prefix}free"])

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance: ``feature_tables`` once the networks are tabulated."""
        return super().capabilities - (frozenset() if self.is_tabulated else {"feature_tables"})

    def encode(self, x: Tensor) -> Tensor:
        """Return what each column adds to the scores, ``(b, d, scores)``, the mean over the members."""
        return super().encode(x) if self.is_tabulated else self._members(x).mean(0)

    @property
    def is_tabulated(self) -> bool:
        """Whether the networks were replaced by tables of their values."""
        return bool(self.tabulated)

    def check_editable(self) -> None:
        """Raise ValueError if the networks still predict."""
        if not self.is_tabulated:
            raise ValueError("its networks are not tabulated; train it with a phase `then: tabulate` first")

    def set_terms(self, terms: Sequence[Term], intercept: np.ndarray) -> None:
        """Replace all terms."""
        super().set_terms(terms, intercept)
        if len(self.free) != len(self.core.tables):
            self.free = self.free.new_zeros(len(self.core.tables))

    def _members(self, x: Tensor) -> Tensor:
        """Return what each column adds in each member, ``(m, b, d, scores)``."""
        x = x.flatten(1).to(self.scale.dtype)
        middle, half = self.scale
        inner = ((x - middle) / half).clamp(-1, 1)
        is_number = (half > 0) & ~x.isnan()
        outputs = self.nets(inner.nan_to_num()) * is_number[None, :, :, None]
        codes = self.core.codes(x)
        return outputs + (self.core.tables * self.free[:, None])[codes]

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: the loss of the task, mean over the members; ``output``: the mean square of what columns add."""
        members = self._members(batch.x)
        kept = members
        if self.column_dropout:
            keep = torch.rand(members.shape[:3], device=members.device) >= self.column_dropout
            kept = members * keep[..., None] / (1 - self.column_dropout)
        losses = [self.task_loss(self.decide(member), batch) for member in kept]
        return {"task": torch.stack(losses).mean(), "output": members.square().mean()}

    @torch.no_grad()
    def set_bins(self, loader: Iterable[Batch], *, max_bins: int = 256) -> dict[str, float]:
        """Fit bins and ranges of the columns, and start from the constant predictor.

        Args:
            loader: all training rows.
            max_bins: largest number of bins of a column.
        """
        x, y, weights = rows_of(loader, self.task)
        cells, kinds, orders = self.columns.cells(x)
        terms, free, scale = [], [], []
        scores = len(self.core.intercept)
        for name, column in cells.items():
            axis = fit_bins(name, column, kind=kinds[name], order=orders.get(name), weights=weights, max_bins=max_bins)
            number = axis.kind == "number" and np.isfinite(axis.minimum)
            middle, half = (axis.maximum + axis.minimum) / 2, (axis.maximum - axis.minimum) / 2
            scale.append((middle, max(half, 1e-12)) if number else (0.0, 0.0))
            free.append(np.array([1.0] + [0.0 if number else 1.0] * (axis.size - 2) + [0.0]))
            terms.append(self.columns.named(Term((axis,), np.zeros((axis.size, scores)), axis.counts)))
        self.set_terms(terms, self._constant(y, weights))
        self.scale.copy_(torch.tensor(scale, dtype=torch.float64).T)
        self.free = torch.from_numpy(np.concatenate(free)).to(self.scale)
        self.tabulated.fill_(False)
        return {"bins": float(len(self.free))}

    def _constant(self, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the intercept ``(scores,)`` of the constant predictor."""
        if self.task.kind == "regression":
            return np.array([np.average(y, weights=weights)])
        share = np.bincount(y.astype(np.int64), weights=weights) / weights.sum()
        logs = np.log(share)
        return np.array([logs[1] - logs[0]]) if self._binary else logs - logs.mean()

    @torch.no_grad()
    def tabulate(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Read the networks at the middle of each bin into tables, center them, and predict by the tables from now on.

        Args:
            loader: all training rows.

        Returns:
            The mean and largest absolute change of a score, and the loss of the task before and after.
        """
        self.eval()
        batches = [Batch.of(batch) for batch in loader]
        before = torch.cat([self(batch.x) for batch in batches])
        losses = [float(torch.stack([self.task_loss(self(b.x), b) * len(b) for b in batches]).sum())]
        terms = self.shape_functions()
        intercept = self.core.intercept.cpu().numpy()
        centered = []
        for j, term in enumerate(terms):
            members = self._tables(j, term.bins[0])
            tables = [center(member, term.counts) for member in members]
            table = np.mean([t for t, _ in tables], axis=0)
            table[term.counts == 0] = 0.0
            intercept = intercept + np.mean([mean for _, mean in tables], axis=0)
            bands = np.std([t for t, _ in tables], axis=0)
            centered.append(Term(term.bins, table, term.counts, bands if len(tables) > 1 else None))
        self.set_terms(centered, intercept)
        self.tabulated.fill_(True)
        after = torch.cat([self(batch.x) for batch in batches])
        losses.append(float(torch.stack([self.task_loss(self(b.x), b) * len(b) for b in batches]).sum()))
        change = (after - before).abs()
        n = len(after)
        log.info("tabulation: loss %.5g before, %.5g after", losses[0] / n, losses[1] / n)
        figures = {"mean change": float(change.mean()), "largest change": float(change.max())}
        return figures | {"loss before": losses[0] / n, "loss after": losses[1] / n}

    def _tables(self, column: int, axis: ColumnBins) -> np.ndarray:
        """Return the tables ``(m, bins, scores)`` of one column, one for each member."""
        codes = slice(*np.cumsum([0, *self.core.sizes.tolist()])[column : column + 2].tolist())
        own = (self.core.tables[codes] * self.free[codes, None]).cpu().numpy()
        tables = np.repeat(own[None], len(self.nets.center), 0)
        if axis.kind == "number" and float(self.scale[1, column]) > 0:
            edges = np.array([axis.minimum, *axis.cuts, axis.maximum])
            x = torch.zeros(len(edges) - 1, self.scale.shape[1], dtype=torch.float64, device=self.scale.device)
            x[:, column] = torch.from_numpy((edges[:-1] + edges[1:]) / 2)
            inner = ((x - self.scale[0]) / self.scale[1].clamp_min(1e-12)).clamp(-1, 1)
            tables[:, 1:-1] += self.nets(inner)[:, :, column].cpu().numpy()
        return tables
