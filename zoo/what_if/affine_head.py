"""A head whose logits are an affine function of the strengths of the units."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from zoo.explanation import Explanation


@dataclass(frozen=True)
class AffineHead:
    """How the logits follow from strengths, for b inputs, c logits and u units.

    Unit j adds ``weight[c, j] * strength[j] + offset[c, j]`` to logit c, which is its contribution where the head is
    explained exactly; all units and a base that no unit changes are the logit.

    Attributes:
        weight: ``(c, u)``, or ``(b, c, u)`` where it depends on the input.
        offset: of the same shape, or ``(c, u)``.
        neutral: ``(u,)`` strength of a unit that is switched off.
        mean: ``(u,)`` mean strength over the training split; None where the model does not know it.

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
    mean: Tensor | None = None

    def __post_init__(self) -> None:
        sizes, u = self.weight.shape[-2:], self.weight.shape[-1]
        if self.weight.ndim not in (2, 3) or self.offset.shape[-2:] != sizes or self.neutral.shape != (u,):
            shapes = [tuple(t.shape) for t in (self.weight, self.offset, self.neutral)]
            raise ValueError(f"weight, offset and neutral are {shapes}; expected (c, u) or (b, c, u), the same, (u,)")

    def contributions(self, strength: Tensor) -> Tensor:
        """Return what each unit adds to each logit, ``(b, c, u)``, from strengths ``(b, u)``."""
        return self.weight * strength[:, None] + self.offset

    def from_mean(self, mean: Tensor) -> AffineHead:
        """Return the same head with contributions measured from mean strengths ``(u,)``, where they are 0.

        The base of the logits takes what average units add, so that the sums stay the logits.
        """
        return replace(self, offset=-self.weight * mean.to(self.weight), mean=mean)

    def explained_from_mean(self, explanation: Explanation, mean: Tensor) -> Explanation:
        """Return an exact explanation of the b inputs with contributions measured from mean strengths ``(u,)``.

        A unit then adds ``weight * (strength - mean)``, and ``base`` is the logit at mean strengths: an absent unit
        that is mostly present counts, and one that is always the same does not. Which units are shown is left as it is.

        Example:
            >>> import torch, zoo
            >>> model = zoo.create_model("bilinear_mlp", num_classes=3, input_shape=[4], width=8).eval()
            >>> x = torch.randn(2, 4)
            >>> explanation, mean = model.explain(x), model.explain(x).strength.mean(0)
            >>> told = model.affine_head(x).explained_from_mean(explanation, mean)
            >>> torch.allclose(told.contribution.sum(1) + told.base, explanation.contribution.sum(1) + explanation.base)
            True
        """
        target = explanation.target
        rows = [t[target] if t.ndim == 2 else t[range(len(target)), target] for t in (self.weight, self.offset)]
        weight, offset = (row.double() for row in rows)
        average = weight * mean.to(weight) + offset  # what each unit adds at its mean strength
        contribution = explanation.contribution.double() - average
        base = explanation.base.double() + average.sum(1)
        return replace(
            explanation, contribution=contribution.to(explanation.contribution), base=base.to(explanation.base)
        )
