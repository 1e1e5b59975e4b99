"""Redundancy: how many units of a vocabulary duplicate others?

Source: defined here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.metrics.base import ANY_TASK, Record, Score, count, expect, fraction
from zoo.registry import register


@register
class Redundancy(Score):
    """Share of units that duplicate an earlier one: the vocabulary could be smaller.

    Two units are duplicates if their contributions to the true class, over all inputs, differ by at most ``TOLERANCE``
    of their own size (root mean squares), or correlate above ``correlation``. The second counts only if both contribute
    to at least ``support`` inputs, since few inputs correlate by chance. Units that never contribute (the ``dead`` of
    ``EffectiveUnits``) duplicate nothing, nor do those of contributions below 1e-205, whose squares double precision
    cannot hold. Vocabularies above ``LARGEST`` units have no value: the products of all
    pairs would not fit into memory.

    Further read-outs: ``equal`` share of units that repeat one within the tolerance. Per unit: ``unit/repeats`` the
    first unit that it repeats, -1 for none; ``unit/duplicate``
    1 or 0.

    Args:
        num_units: u.
        correlation: above which two units are duplicates.
        support: least number of inputs behind a correlation.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> score = Redundancy(3)
        >>> score.update(torch.tensor([[1.0, 2.0, 1.0], [3.0, 0.0, 3.0]]))  # the third unit repeats the first
        >>> values = score.compute()
        >>> round(float(values["duplicate"]), 4), values["unit/repeats"].tolist()
        (0.3333, [-1, -1, 0])
    """

    title = "Redundancy"
    meaning = "share of units whose contributions duplicate those of an earlier unit"
    unit_readouts = {"repeats": "first unit that it duplicates"}
    requires = frozenset({"units"})
    tasks = ANY_TASK
    inputs = {"contribution": "finite"}
    protocol = "zoo-duplicates-v2"
    higher_is_better = False
    intervals = {"duplicate": ("unit/duplicate", 0, 1)}
    resampled = False  # the products of all pairs of units, kept for each replicate, would not fit into memory
    population = "units like these on these inputs"
    TOLERANCE = 1e-6  # of the root mean squares
    LARGEST = 4096  # units
    SCALE = 2.0**200  # of the contributions, exact: their squares neither vanish nor overflow from 1e-205 to 1e90
    SMALLEST = 1e-290  # mean square of scaled contributions
    used: Tensor
    total: Tensor
    product: Tensor

    def __init__(self, num_units: int, *, correlation: float = 0.999, support: int = 10) -> None:
        super().__init__()
        self.num_units, self.support = count("num_units", num_units), count("support", support)
        self.correlation = fraction("correlation", correlation)
        self.protocol = self._variant(type(self).protocol, correlation=self.correlation, support=self.support)
        width = num_units if num_units <= self.LARGEST else 0
        self.why = f"more than {self.LARGEST} units" if width == 0 else ""
        self._sum("used", width)
        self._sum("total", width, dtype=torch.float64)
        self._sum("product", width, width, dtype=torch.float64)

    def update(self, contribution: Tensor) -> None:
        """Add a batch.

        Args:
            contribution: ``(b, u)`` what each unit adds to the answer.

        Raises:
            ValueError: if the shape does not fit or a number is not finite.
        """
        expect("contribution", contribution, None, self.num_units)
        self._check(contribution=contribution)
        if self.num_units > self.LARGEST:
            return
        rows = contribution.detach().to(self.device).double() * self.SCALE
        self._add("used", rows != 0)
        self._add("total", rows)
        self._add("product", rows, by=rows)
        self._add("samples", torch.ones(len(rows), dtype=torch.int64, device=self.device))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        self.update(record.explanation.contribution)

    def compute(self) -> dict[str, Tensor]:
        """The share and its read-outs; see the class."""
        if self.num_units > self.LARGEST:
            return {"duplicate": torch.tensor(torch.nan), "support": self.samples}
        n = self.samples.double()
        mean = self.total / n
        square = self.product / n
        power = square.diagonal()
        live = power > self.SMALLEST
        sizes = power[:, None] + power
        equal = sizes - 2 * square <= self.TOLERANCE**2 * sizes
        around = square - mean[:, None] * mean
        spread = torch.where(around.diagonal() > 1e-9 * power, around.diagonal(), torch.inf).sqrt()
        known = (self.used >= self.support) & spread.isfinite()
        alike = (around / (spread[:, None] * spread) > self.correlation) & known[:, None] & known
        pairs = (live[:, None] & live).tril(-1)
        repeats = (equal | alike) & pairs
        return {
            "duplicate": torch.where(n > 0, repeats.any(1).double().mean(), torch.nan),
            "equal": torch.where(n > 0, (equal & pairs).any(1).double().mean(), torch.nan),
            "support": self.samples,
            "unit/duplicate": repeats.any(1).double(),
            "unit/repeats": torch.where(repeats.any(1), repeats.int().argmax(1), -1),
        }
