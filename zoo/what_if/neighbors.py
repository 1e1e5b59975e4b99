"""The nearest cases of a data set in the space of contributions: those that are answered alike for like reasons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.batch import Batch

CHUNK = 2**24  # numbers of a table of differences


@dataclass(frozen=True)
class Neighbors:
    """The k nearest cases of b inputs.

    Attributes:
        index: ``(b, k)`` index of each case in its data set, nearest first; -1 where no more cases have the answer.
        distance: ``(b, k)`` sum of the absolute differences of the contributions, in units of the logit.
    """

    index: Tensor
    distance: Tensor


@dataclass(frozen=True)
class CaseIndex:
    """n cases of a data set as the model explains them.

    Attributes:
        index: ``(n,)`` of the cases in their data set.
        target: ``(n,)`` the class that was predicted, or the output that was explained.
        reasons: ``(n, d)`` the contribution of each unit to it; the logits of a model without units.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("bilinear_mlp", num_classes=2, input_shape=[4], width=8).eval()
        >>> x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
        >>> cases = CaseIndex.build(model, [Batch(x, torch.zeros(6).long(), torch.arange(6))])
        >>> cases.nearest(model, x, k=1).index[:, 0].tolist()
        [0, 1, 2, 3, 4, 5]
    """

    index: Tensor
    target: Tensor
    reasons: Tensor

    @classmethod
    @torch.no_grad()
    def build(cls, model: Any, loader: Iterable[Batch]) -> CaseIndex:
        """Explain all samples of a loader.

        Args:
            model: in eval mode.
            loader: of batches.

        Raises:
            ValueError: if there is no sample.
        """
        rows = [(b.index, *_reasons(model, b.x.to(model.device))) for b in loader]
        if not rows:
            raise ValueError("the loader has no batch; expected the cases that neighbors are looked for among")
        index, target, reasons = (torch.cat(columns) for columns in zip(*rows, strict=True))
        return cls(index.cpu(), target, reasons)

    def save(self, file: str | Path) -> Path:
        """Write the index as a safetensors file; ``load`` reads it."""
        from safetensors.torch import save_file

        save_file({name: value.contiguous() for name, value in vars(self).items()}, str(file))
        return Path(file)

    @classmethod
    def load(cls, file: str | Path) -> CaseIndex:
        """Read an index that ``save`` wrote.

        Raises:
            ValueError: if it holds something else.
        """
        from safetensors.torch import load_file

        tensors = load_file(str(file))
        if sorted(tensors) != ["index", "reasons", "target"]:
            raise ValueError(f"{file} holds {', '.join(sorted(tensors))}; expected index, reasons, target")
        return cls(**tensors)

    @torch.no_grad()
    def nearest(self, model: Any, x: Tensor, *, k: int = 5) -> Neighbors:
        """Return the k nearest cases with the same answer, for inputs ``(b, ...)``.

        Raises:
            ValueError: if k is below 1, or the index is of a model with other units.
        """
        if k < 1:
            raise ValueError(f"k is {k}; expected 1 or more")
        target, reasons = _reasons(model, x)
        if reasons.shape[1] != self.reasons.shape[1]:
            raise ValueError(
                f"the index has {self.reasons.shape[1]} contributions of each case, the model {reasons.shape[1]};"
                " build it again"
            )
        step = max(1, CHUNK // max(1, self.reasons.numel()))
        parts = []
        for own, goal in zip(reasons.split(step), target.split(step), strict=True):
            distance = torch.cdist(own.double(), self.reasons.to(own).double(), p=1)
            parts.append(distance.masked_fill(goal[:, None] != self.target.to(goal), torch.inf))
        every = torch.cat(parts).cpu()
        best = every.topk(min(k, len(self.index)), largest=False)
        none = best.values.isinf()
        return Neighbors(self.index[best.indices].masked_fill(none, -1), best.values)


def _reasons(model: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """The explained outputs ``(b,)`` and the contributions to them ``(b, d)``."""
    explanation = model.explain(x, shown=0)
    return explanation.target, explanation.contribution if len(model.units) else explanation.logits
