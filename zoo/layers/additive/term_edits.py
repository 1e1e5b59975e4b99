"""The operations on the terms of an additive model. Sums stay exact, and every term keeps the mean 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from zoo.editing.operation import Argument, Operation
from zoo.editing.state import EditState
from zoo.layers.additive import shape_edits as shapes
from zoo.layers.additive.purify import purify_pair
from zoo.layers.additive.terms import Term

BINS = Argument("bins", None)
MEAN = Argument(("base", "keep"), "base")
Change = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of values and weights of the chosen bins
NEGLIGIBLE = 1e-12  # part of a pair that its columns would take


class TermEdits:
    """The operations of one additive model.

    An edit sets the values of some bins; the mean of the term over the training rows, which is then no longer 0, is
    subtracted from all its bins and either added to the base, so that no other row changes (``base``), or dropped, so
    that the mean score of the training rows stays (``keep``). What a pair then shares with its columns moves to these.

    Args:
        model: an ``AdditiveModel``, edited in place.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        some = {"bins": BINS, "mean": MEAN}
        ways = Argument(("up", "down"))
        number = Argument("number")
        return {
            "set": Operation(self.set, "set what bins add", {"value": number, **some}),
            "move": Operation(self.move, "let bins add more, or less", {"by": number, **some}),
            "flatten": Operation(self.flatten, "let bins all add their mean; without bins, the whole term", some),
            "interpolate": Operation(self.interpolate, "draw a straight line from the first to the last bin", some),
            "monotone": Operation(self.monotone, "take the nearest monotone values", {"direction": ways, **some}),
            "smooth": Operation(
                self.smooth, "take values of less curvature", {"strength": Argument("number", 1.0), **some}
            ),
            "delete": Operation(self.delete, "let bins add 0, as an average row does", some),
            "remove": Operation(self.remove, "remove the term"),
        }

    def set(self, state: EditState, unit: int, value: float, bins: Any, mean: str) -> None:
        """Set the value of bins."""
        self._change(unit, bins, mean, lambda values, _: np.full_like(values, value))

    def move(self, state: EditState, unit: int, by: float, bins: Any, mean: str) -> None:
        """Add a number to bins."""
        self._change(unit, bins, mean, lambda values, _: values + by)

    def flatten(self, state: EditState, unit: int, bins: Any, mean: str) -> None:
        """Set bins to their weighted mean."""
        _, term, _ = self._term(unit)
        every = [list(range(axis.size)) for axis in term.bins]
        whole = every[0] if len(every) == 1 else dict(zip(term.columns, every, strict=True))
        bins = whole if bins is None else bins
        self._change(unit, bins, mean, shapes.flattened)

    def delete(self, state: EditState, unit: int, bins: Any, mean: str) -> None:
        """Set bins to 0."""
        self._change(unit, bins, mean, lambda values, _: np.zeros_like(values))

    def interpolate(self, state: EditState, unit: int, bins: Any, mean: str) -> None:
        """Draw a straight line between the outer bins."""
        codes, axis = self._run(unit, bins, 3)
        places = shapes.places_of(axis)[codes - 1]
        self._change(unit, codes.tolist(), mean, lambda values, _: shapes.interpolated(values, places))

    def monotone(self, state: EditState, unit: int, direction: str, bins: Any, mean: str) -> None:
        """Make bins monotone."""
        codes, _ = self._run(unit, bins, 2)
        up = direction == "up"
        self._change(unit, codes.tolist(), mean, lambda values, w: shapes.monotone(values, w, increasing=up))

    def smooth(self, state: EditState, unit: int, strength: float, bins: Any, mean: str) -> None:
        """Smooth bins."""
        if not strength > 0:
            raise ValueError(f"strength is {strength}; expected a number above 0")
        codes, _ = self._run(unit, bins, 3)
        self._change(unit, codes.tolist(), mean, lambda values, w: shapes.smoothed(values, w, strength))

    def remove(self, state: EditState, unit: int) -> EditState | None:
        """Remove the term; of three or more classes, what it adds to the one class."""
        number, _, c = self._term(unit)
        core = self.model.core
        if len(core.intercept) > 1:
            part = self._cells(number)
            core.tables.data[part, c] = 0.0
            return None
        terms = self.model.shape_functions()
        if len(terms) == 1:
            raise ValueError("it is the last term; flatten it instead")
        left = [i for i in range(len(terms)) if i != number]
        self.model.set_terms([terms[i] for i in left], core.intercept.detach().cpu().numpy())
        return state.kept(left)

    def _term(self, unit: int) -> tuple[int, Term, int]:
        """Return number and content of the term of a unit, and its column of scores."""
        self.model.check_editable()
        number, c = divmod(unit, len(self.model.core.intercept))
        return number, self.model.shape_functions()[number], c

    def _cells(self, number: int) -> slice:
        return self.model.core.cells(number)

    def _run(self, unit: int, bins: Any, least: int) -> tuple[np.ndarray, Any]:
        """Return neighboring bins of an ordered column, and the column's bins."""
        _, term, _ = self._term(unit)
        if len(term.bins) != 1 or not term.bins[0].is_ordered:
            what = "a pair of columns" if len(term.bins) != 1 else "a column without an order"
            raise ValueError(f"{term.name!r} is {what}; expected a column of numbers or of ordered levels")
        codes = self._chosen(term, bins)[0]
        axis = term.bins[0]
        if len(codes) < least or (np.diff(codes) != 1).any() or codes[0] < 1 or codes[-1] > axis.size - 2:
            raise ValueError(f"bins are {codes.tolist()}; expected {least} or more neighboring bins of values")
        return codes, axis

    def _chosen(self, term: Term, bins: Any) -> list[np.ndarray]:
        """Return the chosen bins of each column of a term."""
        names = [[self.model.bin_text(axis, code) for code in range(axis.size)] for axis in term.bins]
        values = [np.arange(1, axis.size - 1) for axis in term.bins]
        if bins is None:
            return values
        if len(term.bins) == 1:
            if isinstance(bins, Mapping):
                raise ValueError(f"bins is a mapping; {term.name!r} is one column, name its bins alone")
            return [shapes.read_bins(term.bins[0], bins, names[0])]
        if isinstance(bins, str) and bins.count(" x ") == 1:
            bins = dict(zip(term.columns, bins.split(" x "), strict=True))
        if not isinstance(bins, Mapping) or set(bins) - set(term.columns):
            a, b = term.columns
            raise ValueError(f"{term.name!r} has bins of two columns; expected bins: {{{a}: ..., {b}: ...}}")
        return [
            shapes.read_bins(axis, bins[axis.name], known) if axis.name in bins else every
            for axis, known, every in zip(term.bins, names, values, strict=True)
        ]

    def _change(self, unit: int, bins: Any, mean: str, change: Change) -> None:
        """Change the values of bins, then move means and what pairs share with columns."""
        if mean == "keep" and not self.model.base_is_free:
            raise ValueError(f"mean is keep; the base of a {self.model.name} holds whole points, expected base")
        number, term, c = self._term(unit)
        place = np.ix_(*self._chosen(term, bins))
        table = term.table[..., c].copy()
        values, weights = table[place].reshape(-1), term.counts[place].reshape(-1)
        new = self.model.rounded_edit(values, change(values, weights))
        table[place] = new.reshape(table[place].shape)
        moved = self._center(table, term.counts)
        if len(term.bins) == 2:
            table, constant = self._purified(term, table, c)
            moved += constant
        self._write(number, c, table)
        if mean == "base":
            self.model.core.intercept.data[c] += moved

    def _center(self, table: np.ndarray, counts: np.ndarray) -> float:
        """Subtract the weighted mean in place and return it."""
        total = float(counts.sum())
        mean = float((counts * table).sum() / total) if total > 0 else 0.0
        table -= mean
        return mean

    def _purified(self, term: Term, table: np.ndarray, c: int) -> tuple[np.ndarray, float]:
        """Move what a pair shares with its columns to their terms; return the pure table and the rest for the base."""
        pure, *effects, constant = purify_pair(table[..., None], term.counts)
        moved = float(constant[0])
        terms = self.model.shape_functions()
        for axis, effect in zip(term.bins, (e[:, 0] for e in effects), strict=True):
            if np.abs(effect).max() <= NEGLIGIBLE * max(1.0, float(np.abs(table).max())):
                continue
            number = next((i for i, other in enumerate(terms) if other.columns == (axis.name,)), None)
            if number is None:
                raise ValueError(
                    f"{axis.name!r} has no term of its own, to which part of this edit would move;"
                    " flatten or remove the whole pair"
                )
            main = terms[number]
            try:
                lookup = main.bins[0].lookup_in(axis)
            except ValueError as error:
                raise ValueError(f"{error}; flatten or remove the whole pair") from error
            new = main.table[..., c] + effect[lookup]
            moved += self._center(new, main.counts)
            self._write(number, c, new)
        return pure[..., 0], moved

    def _write(self, number: int, c: int, table: np.ndarray) -> None:
        tables = self.model.core.tables
        tables.data[self._cells(number), c] = torch.from_numpy(table.reshape(-1)).to(tables)
