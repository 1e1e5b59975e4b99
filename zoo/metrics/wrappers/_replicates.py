"""The sums of a score, kept for many bootstrap replicates at once."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_sum

from zoo.metrics.base import Score
from zoo.metrics.perturbations.noise import random_bits
from zoo.metrics.wrappers._weighted_sums import STREAM, add_weighted, poisson

BUDGET = 256 << 20  # bytes of all replicate sums of one score
FEWEST = 5  # replicates that a large score keeps, whatever they take; the interval is wider for their number


class ReplicatedScore(Score):
    """A score whose sums are kept for each of r replicates as well, every sample weighted by ``poisson``.

    All states of the score live in this object, where they synchronize and merge; the score borrows them. Sums of
    replicates are declared with the first sample: a score that does not apply needs none.

    Args:
        score: fresh.
        replicates: r; fewer where all sums would take more than 256 MiB, 5 at least.
    """

    fingerprint: Tensor
    ids: list[Tensor]

    def __init__(self, score: Score, replicates: int) -> None:
        super().__init__()
        self.score = score
        self._weighed: dict[str, Tensor] = {}  # sums kept for each replicate
        for name, start in score._defaults.items():
            self.add_state(name, copy(start), dist_reduce_fx=score._reductions[name])
            if score.resampled and isinstance(start, Tensor) and score._reductions[name] is dim_zero_sum:
                self._weighed[name] = start
        size = max(1, 8 * sum(start.numel() for start in self._weighed.values()))
        self.replicates = min(replicates, max(FEWEST, BUDGET // size))
        self._sum("fingerprint")
        self._rows("ids")

    def _declare(self) -> None:
        """Declare the sums of replicates, once there are samples: a score that does not apply needs none."""
        for name, start in self._weighed.items():
            replicated = f"{name}_replicates"
            if replicated not in self._defaults:
                self._sum(replicated, *start.shape, self.replicates, dtype=torch.float64)
                setattr(self, replicated, getattr(self, replicated).to(self.device))
                zero = torch.zeros((), dtype=torch.float64)  # a start that takes no memory
                self._defaults[replicated] = zero.expand(*start.shape, self.replicates)

    def merge_state(self, incoming_state: Any) -> None:
        """Add the samples of another interval of the same score."""
        self._declare()
        if isinstance(incoming_state, ReplicatedScore):
            incoming_state._declare()
        super().merge_state(incoming_state)

    def sync(self, *args: Any, **named: Any) -> None:
        """Synchronize processes, of which some may have no samples."""
        self._declare()
        super().sync(*args, **named)

    def reset(self) -> None:
        """Forget the samples."""
        super().reset()
        self.score.reset()

    def _intercept(self, call: Callable[[], None], ids: Tensor) -> None:
        """Make a call that updates the score, with every ``Score._add`` weighted as well."""
        ids = ids.to(self.device)
        self._declare()
        self._lend()
        weight = poisson(ids, self.replicates).double()
        vars(self.score)["_add"] = partial(self._add_both, ids, weight)
        try:
            call()
        finally:
            del vars(self.score)["_add"]
        self._take_back()
        self.fingerprint = self.fingerprint + random_bits(ids, draw=STREAM + 1, count=1).sum()

    def _lend(self) -> None:
        """Give the score the states that live in this object."""
        for name in self.score._defaults:
            setattr(self.score, name, getattr(self, name))

    def _take_back(self) -> None:
        """Take the states back that were lent."""
        for name in self.score._defaults:
            setattr(self, name, getattr(self.score, name))

    def _add_both(self, ids: Tensor, weight: Tensor, name: str, rows: Tensor, **where: Tensor | None) -> None:
        """``Score._add``, and the same for every replicate, ``weight`` ``(b, r)``."""
        Score._add(self.score, name, rows, **where)
        if name == "samples":
            self.ids.append(ids[rows.to(ids.device) > 0])
        if name not in self._weighed:
            return
        total: Tensor = getattr(self, f"{name}_replicates")
        if total.is_inference() and not torch.is_inference_mode_enabled():
            total = total.clone()
            setattr(self, f"{name}_replicates", total)
        add_weighted(total, weight, rows.to(total.device), **where)

    def _replicate(self, r: int) -> dict[str, Tensor]:
        """Read-outs with intervals of one replicate."""
        self._lend()
        for name in self._weighed:
            setattr(self.score, name, getattr(self, f"{name}_replicates")[..., r].to(getattr(self, name).dtype))
        readouts = self.score.interval_readouts()
        undefined = torch.tensor(torch.nan, dtype=torch.float64, device=self.device)
        return {name: readouts.get(name, undefined).double() for name in self.score.intervals}
