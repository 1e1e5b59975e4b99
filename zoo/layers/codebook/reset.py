"""Reset of dead codes during training."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.optim import Optimizer

from zoo.layers.codebook.bottleneck import Codebook, CodeUse


class DeadCodeReset(Callback):
    """Every ``every`` steps, replaces each code that was not selected since by a vector of the current batch.

    At every step the counts are summed over processes, so that all processes have the same counts and a checkpoint of
    any of them is complete. The optimizer state of a reset code is set to 0. Which vectors are taken depends on the
    step only, and is the same in all processes. The reset comes before the optimizer step, so that a checkpoint after
    the step can be resumed without the batch.

    Args:
        every: number of steps.
    """

    def __init__(self, every: int) -> None:
        self.every = every

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Count the selected codes, and reset the others every ``every`` steps."""
        codebooks = [m for m in pl_module.modules() if isinstance(m, Codebook) and m.codes.requires_grad]
        vectors = count(codebooks)
        step = trainer.global_step
        if step and step % self.every == 0:
            for i, codebook in enumerate(codebooks):
                reset_dead_codes(codebook, vectors[i], trainer.optimizers, seed=1000 * step + i)


@torch.no_grad()
def count(codebooks: list[Codebook]) -> list[Tensor]:
    """Add the recorded use of all processes to ``hits``; return this process's last vectors ``(n, g, e)`` of each."""
    uses: list[CodeUse] = []
    for codebook in codebooks:
        assert codebook.noted is not None, "a codebook in training has no recorded use: the loss must call note()"
        uses.append(codebook.noted)
        codebook.noted = None
    if uses:
        new = torch.cat([use.hits.flatten() for use in uses])
        if _is_distributed():
            dist.all_reduce(new)
        parts = new.split([codebook.hits.numel() for codebook in codebooks])
        for codebook, part in zip(codebooks, parts, strict=True):
            codebook.hits += part.view_as(codebook.hits)
    return [use.vectors for use in uses]


@torch.no_grad()
def reset_dead_codes(codebook: Codebook, vectors: Tensor, optimizers: list[torch.optim.Optimizer], *, seed: int) -> int:
    """Replace the codes without hits by some of ``vectors`` ``(n, g, e)``; return how many there were."""
    dead = codebook.hits == 0  # (g, c)
    vectors = vectors.to(codebook.codes.dtype)
    g = torch.Generator().manual_seed(seed)
    pick = torch.rand(dead.shape, generator=g, dtype=torch.float64).mul(len(vectors)).long().to(dead.device)
    fresh = vectors.transpose(0, 1).gather(1, pick[:, :, None].expand(-1, -1, vectors.shape[2]))
    if _is_distributed():
        dist.broadcast(fresh, 0)
    codebook.codes.copy_(torch.where(dead[:, :, None], fresh, codebook.codes))
    for optimizer in optimizers:
        for moment in optimizer.state.get(codebook.codes, {}).values():
            if isinstance(moment, Tensor) and moment.shape == codebook.codes.shape:
                moment.masked_fill_(dead[:, :, None], 0)
    codebook.hits.zero_()
    return int(dead.sum())


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()
