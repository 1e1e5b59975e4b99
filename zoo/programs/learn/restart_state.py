"""Tensors with a leading restart dimension: the best state of each restart, selection, gradient clipping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from zoo.programs.ir.program import Program

PER_RESTART = ("network.", "readout.", "best.")  # prefixes of tensors whose first dimension is the restart


class BestParameters(nn.Module):
    """A copy of each restart's parameters, ``(r, ...)`` each, at its best epoch.

    Args:
        parameters: present values, which are copied.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        super().__init__()
        for i, p in enumerate(parameters):
            self.register_buffer(f"p{i}", p.detach().clone())

    def _copies(self) -> list[Tensor]:
        return [getattr(self, f"p{i}") for i in range(len(self._buffers))]

    @torch.no_grad()
    def keep(self, parameters: Sequence[Tensor], better: Tensor) -> None:
        """Copy the present parameters of the restarts where ``better`` ``(r,)`` bool is true."""
        for copy, p in zip(self._copies(), parameters, strict=True):
            copy[better] = p.detach()[better]

    @torch.no_grad()
    def restore(self, parameters: Sequence[Tensor]) -> None:
        """Write the copies into the parameters of all restarts."""
        for copy, p in zip(self._copies(), parameters, strict=True):
            p.copy_(copy)


@torch.no_grad()
def take(model: nn.Module, ids: Tensor) -> None:
    """Keep only some restarts of a model: in its tensors ``PER_RESTART``, its ``accuracy`` and ``soft``."""
    state = {k: v for k, v in model.state_dict().items() if k.startswith(PER_RESTART) or k in ("accuracy", "soft")}
    for key, value in state.items():
        _set_tensor(model, key, value[ids].clone())


@torch.no_grad()
def resize(model: nn.Module, shapes: Mapping[str, torch.Size]) -> None:
    """Give tensors of a model the shapes of a state that will be loaded, where the number of dimensions agrees."""
    for key, value in model.state_dict().items():
        if key in shapes and shapes[key] != value.shape and len(shapes[key]) == value.ndim:
            _set_tensor(model, key, value.new_zeros(shapes[key]))


def _set_tensor(model: nn.Module, key: str, value: Tensor) -> None:
    """Replace a parameter or buffer, given its key in the state."""
    path, _, name = key.rpartition(".")
    owner = model.get_submodule(path)
    old = getattr(owner, name)
    is_parameter = isinstance(old, nn.Parameter)
    setattr(owner, name, nn.Parameter(value, requires_grad=old.requires_grad) if is_parameter else value)


@torch.no_grad()
def clip(parameters: Sequence[Tensor], max_norm: float) -> None:
    """Scale the gradient of each restart ``(r, ...)`` to a norm of at most ``max_norm``.

    The loss is a mean over restarts. The norm is that of the restart's own loss: r times what the mean gives it.

    Example:
        >>> p = torch.zeros(2, 1, requires_grad=True)
        >>> (p * torch.tensor([[6.0], [0.5]])).sum().div(2).backward()
        >>> clip([p], 1.0)
        >>> p.grad.flatten().tolist()  # of the mean of two losses with gradients 6 and 0.5
        [0.5, 0.25]
    """
    grads = [p.grad for p in parameters if p.grad is not None and p.grad.numel()]
    if not grads:
        return
    norm = torch.stack([g.flatten(1).square().sum(1) for g in grads]).sum(0).sqrt() * len(grads[0])
    scale = (max_norm / norm.clamp_min(1e-12)).clamp_max(1.0)
    for g in grads:
        g.mul_(scale.view(-1, *[1] * (g.ndim - 1)))


class CachedProgram:
    """A program with the tensors that it was compiled from, to detect when it must be compiled again."""

    def __init__(self, tensors: Sequence[Tensor], program: Program) -> None:
        self.program = program
        self._tensors = list(tensors)
        self._versions = [(t._version, t.dtype) for t in tensors]

    def is_current(self, tensors: Sequence[Tensor]) -> bool:
        """Return whether these are the same tensors, and none has been written to."""
        if len(tensors) != len(self._tensors) or any(a is not b for a, b in zip(tensors, self._tensors, strict=True)):
            return False
        return self._versions == [(t._version, t.dtype) for t in tensors]
