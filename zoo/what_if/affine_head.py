"""A head whose logits are an affine function of the strengths of the units."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class AffineHead:
    """How the logits follow from strengths, for b inputs, c logits and u units.

    Unit j adds ``weight[c, j] * strength[j] + offset[c, j]`` to logit c, which is its contribution where the head is
    explained exactly; all units and a base that no unit changes are the logit.

    Attributes:
        weight: ``(c, u)``, or ``(b, c, u)`` where it depends on the input.
        offset: of the same shape, or ``(c, u)``.
        neutral: ``(u,)`` strength of a unit that is switched off.

    Raises:
        ValueError: if the shapes do not fit.

    Example:
        >>> import torch
        >>> head = AffineHead(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.zeros(2))
        >>> head.contributions(torch.tensor([[3.0, 5.0]])).tolist()
        [[[6.0, 1.0]]]
    """

    weight: Tensor
    offset: Tensor
    neutral: Tensor

    def __post_init__(self) -> None:
        sizes, u = self.weight.shape[-2:], self.weight.shape[-1]
        if self.weight.ndim not in (2, 3) or self.offset.shape[-2:] != sizes or self.neutral.shape != (u,):
            shapes = [tuple(t.shape) for t in (self.weight, self.offset, self.neutral)]
            raise ValueError(f"weight, offset and neutral are {shapes}; expected (c, u) or (b, c, u), the same, (u,)")

    def contributions(self, strength: Tensor) -> Tensor:
        """Return what each unit adds to each logit, ``(b, c, u)``, from strengths ``(b, u)``."""
        return self.weight * strength[:, None] + self.offset
