"""Codes that nothing chooses are begun anew, in training only."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from zoo.nn.codebook import Codebook


class Revival(Callback):
    """Every so many steps, each code that was not chosen since becomes one of the vectors of the present batch.

    The optimiser forgets what it knew of that code. Which vectors are taken is a function of the step alone, and all
    processes agree on them. This happens before the optimiser's step, so that what is saved behind a step is whole.

    Args:
        every: steps.
    """

    def __init__(self, every: int) -> None:
        self.every = every

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Revive when it is time."""
        step = trainer.global_step
        if step and step % self.every == 0:
            books = [m for m in pl_module.modules() if isinstance(m, Codebook) and m.codes.requires_grad]
            for i, book in enumerate(books):
                revive(book, trainer.optimizers, seed=1000 * step + i)


@torch.no_grad()
def revive(book: Codebook, optimizers: list[torch.optim.Optimizer], *, seed: int) -> int:
    """Begin the unchosen codes of one book anew; how many there were."""
    if book.wanted is None:
        return 0
    several = dist.is_available() and dist.is_initialized()
    if several:
        dist.all_reduce(book.hits)
    dead = book.hits == 0  # (g, c)
    vectors = book.wanted.to(book.codes.dtype)
    g = torch.Generator().manual_seed(seed)
    pick = torch.randint(len(vectors), dead.shape, generator=g).to(dead.device)
    fresh = vectors.transpose(0, 1).gather(1, pick[:, :, None].expand(-1, -1, vectors.shape[2]))
    if several:
        dist.broadcast(fresh, 0)
    book.codes[dead] = fresh[dead]
    for optimizer in optimizers:
        for moment in optimizer.state.get(book.codes, {}).values():
            if isinstance(moment, Tensor) and moment.shape == book.codes.shape:
                moment[dead] = 0
    book.hits.zero_()
    return int(dead.sum())
