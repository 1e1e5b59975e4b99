"""Restarts in a leading dimension: keep the best of each, drop the losers, clip each for itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from zoo.programs.ir.program import Program

PER_RESTART = ("network.", "readout.", "best.")  # tensors of a model whose first dimension is the restart


class Snapshot(nn.Module):
    """A copy of each restart's parameters, ``(r, ...)`` each, as they were when it was last told to keep them."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        super().__init__()
        for i, p in enumerate(parameters):
            self.register_buffer(f"p{i}", p.detach().clone())

    def _kept(self) -> list[Tensor]:
        return [getattr(self, f"p{i}") for i in range(len(self._buffers))]

    @torch.no_grad()
    def keep(self, parameters: Sequence[Tensor], better: Tensor) -> None:
        """Copy the restarts where ``better`` ``(r,)``."""
        for mine, p in zip(self._kept(), parameters, strict=True):
            mine[better] = p.detach()[better]

    @torch.no_grad()
    def restore(self, parameters: Sequence[Tensor]) -> None:
        """Put every restart back."""
        for mine, p in zip(self._kept(), parameters, strict=True):
            p.copy_(mine)


@torch.no_grad()
def take(model: nn.Module, ids: Tensor) -> None:
    """Keep these restarts of a model, in its tensors ``PER_RESTART`` its ``accuracy`` and ``soft``."""
    state = {k: v for k, v in model.state_dict().items() if k.startswith(PER_RESTART) or k in ("accuracy", "soft")}
    for key, value in state.items():
        _put(model, key, value[ids].clone())


@torch.no_grad()
def resize(model: nn.Module, shapes: Mapping[str, torch.Size]) -> None:
    """Give tensors of a model the shapes of a state about to be loaded, where the number of dimensions agrees."""
    for key, value in model.state_dict().items():
        if key in shapes and shapes[key] != value.shape and len(shapes[key]) == value.ndim:
            _put(model, key, value.new_zeros(shapes[key]))


def _put(model: nn.Module, key: str, value: Tensor) -> None:
    path, _, name = key.rpartition(".")
    owner = model.get_submodule(path)
    old = getattr(owner, name)
    learned = isinstance(old, nn.Parameter)
    setattr(owner, name, nn.Parameter(value, requires_grad=old.requires_grad) if learned else value)


@torch.no_grad()
def clip(parameters: Sequence[Tensor], most: float) -> None:
    """Scale the gradient of each restart ``(r, ...)`` of a mean over restarts to a norm of ``most`` at most.

    The norm is that of the restart's own loss: r times what the mean gives it.
    """
    grads = [p.grad for p in parameters if p.grad is not None and p.grad.numel()]
    if not grads:
        return
    norm = torch.stack([g.flatten(1).square().sum(1) for g in grads]).sum(0).sqrt() * len(grads[0])
    scale = (most / norm.clamp_min(1e-12)).clamp_max(1.0)
    for g in grads:
        g.mul_(scale.view(-1, *[1] * (g.ndim - 1)))


class Read:
    """A program and the tensors that it was read off, to know when it must be read anew."""

    def __init__(self, tensors: Sequence[Tensor], program: Program) -> None:
        self.program, self._tensors = program, list(tensors)
        self._then = [(t._version, t.dtype) for t in tensors]

    def still(self, tensors: Sequence[Tensor]) -> bool:
        """Whether these are the same tensors, and none has been written to."""
        if len(tensors) != len(self._tensors) or any(a is not b for a, b in zip(tensors, self._tensors, strict=True)):
            return False
        return self._then == [(t._version, t.dtype) for t in tensors]
