"""Codes that nothing chooses are begun anew, in training only."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from zoo.layers.codebook.bottleneck import Codebook


class Revival(Callback):
    """Every so many steps, each code that was not chosen since becomes one of the vectors of the present batch.

    At every step the processes add up what their codebooks noted, so that all count the same and what any of them saves
    is whole. The optimiser forgets what it knew of a code that begins anew. Which vectors are taken is a function of
    the step alone, and all processes agree on them. This happens before the optimiser's step, so that what is saved
    behind a step needs no batch to go on from.

    Args:
        every: steps.
    """

    def __init__(self, every: int) -> None:
        self.every = every

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Count, and revive when it is time."""
        books = [m for m in pl_module.modules() if isinstance(m, Codebook) and m.codes.requires_grad]
        wanted = count(books)
        step = trainer.global_step
        if step and step % self.every == 0:
            for i, book in enumerate(books):
                revive(book, wanted[i], trainer.optimizers, seed=1000 * step + i)


@torch.no_grad()
def count(books: list[Codebook]) -> list[Tensor]:
    """Add what every process noted to the hits of all; the vectors ``(n, g, e)`` that each book wanted last, here."""
    noted = []
    for book in books:
        assert book.noted is not None, "a codebook that learns was not told what it chose"
        noted.append(book.noted)
        book.noted = None
    if noted:
        new = torch.cat([one.hits.flatten() for one in noted])
        if _several():
            dist.all_reduce(new)
        for book, part in zip(books, new.split([book.hits.numel() for book in books]), strict=True):
            book.hits += part.view_as(book.hits)
    return [one.wanted for one in noted]


@torch.no_grad()
def revive(book: Codebook, wanted: Tensor, optimizers: list[torch.optim.Optimizer], *, seed: int) -> int:
    """Begin the unchosen codes of one book anew as some of ``wanted`` ``(n, g, e)``; how many there were."""
    dead = book.hits == 0  # (g, c)
    vectors = wanted.to(book.codes.dtype)
    g = torch.Generator().manual_seed(seed)
    pick = torch.rand(dead.shape, generator=g, dtype=torch.float64).mul(len(vectors)).long().to(dead.device)
    fresh = vectors.transpose(0, 1).gather(1, pick[:, :, None].expand(-1, -1, vectors.shape[2]))
    if _several():
        dist.broadcast(fresh, 0)
    book.codes.copy_(torch.where(dead[:, :, None], fresh, book.codes))
    for optimizer in optimizers:
        for moment in optimizer.state.get(book.codes, {}).values():
            if isinstance(moment, Tensor) and moment.shape == book.codes.shape:
                moment.masked_fill_(dead[:, :, None], 0)
    book.hits.zero_()
    return int(dead.sum())


def _several() -> bool:
    return dist.is_available() and dist.is_initialized()
