"""States of scores: sums over samples, and rows of samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.distributed import gather_all_tensors


class States(Metric):
    """A metric whose states are sums over samples, or lists of rows of samples.

    Attributes:
        samples: number of samples added.
    """

    full_state_update = False
    samples: Tensor

    def __init__(self) -> None:
        super().__init__()
        self._sum("samples")

    def _sum(self, name: str, *shape: int, dtype: torch.dtype = torch.int64) -> None:
        """Declare a state that is a sum over samples."""
        self.add_state(name, torch.zeros(shape, dtype=dtype), dist_reduce_fx="sum")

    def _add(self, name: str, rows: Tensor, *, at: Tensor | None = None, by: Tensor | None = None) -> None:
        """Add to a sum what each sample adds; ``BootstrapInterval`` intercepts this call.

        Args:
            name: of the sum.
            rows: ``(b, *shape)``; with ``at`` ``(b, k, *rest)``; with ``by`` ``(b, u)``.
            at: ``(b, k)`` int64 entries of the sum's first dimension to which the k rows of a sample go.
            by: ``(b, p)`` whose product with ``rows``, ``(b, u, p)``, is added without being materialized.
        """
        old = getattr(self, name)
        if by is not None:
            new = (rows.double().T @ by.double()).to(old.dtype)
        elif at is None:
            new = rows.sum(0, dtype=old.dtype)
        else:
            new = torch.zeros_like(old).index_add_(0, at.flatten(), rows.flatten(0, 1).to(old.dtype))
        setattr(self, name, old + new)

    def _rows(self, name: str) -> None:
        """Declare a state that keeps rows of samples: a list of tensors of any type and width, one for each batch."""
        self.add_state(name, [], dist_reduce_fx="cat")

    def _sync_dist(self, dist_sync_fn: Callable[..., Any] = gather_all_tensors, process_group: Any = None) -> None:
        """Gather sums as torchmetrics does, rows as objects: a process without samples knows neither type nor width."""
        reductions = self._reductions
        mine = {name: getattr(self, name) for name, start in self._defaults.items() if isinstance(start, list)}
        self._reductions = {name: how for name, how in reductions.items() if name not in mine}
        super()._sync_dist(dist_sync_fn, process_group)
        self._reductions = reductions
        if mine:
            group = process_group or self.process_group
            gathered: list[Any] = [None] * dist.get_world_size(group)
            dist.all_gather_object(gathered, {k: [t.cpu() for t in v] for k, v in mine.items()}, group)
            for name in mine:
                setattr(self, name, [rows for process in gathered for rows in process[name]])
