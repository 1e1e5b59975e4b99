"""Contexts of language models: token ids ``(b, t)`` with -1 after their end."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.layers.transformer.decoder import Decoder


def following(x: Tensor, y: Tensor) -> Tensor:
    """Return the token ``(b, t)`` after each position of contexts ``x`` ``(b, t)``, with ``y`` ``(b,)`` after the last.

    Example:
        >>> following(torch.tensor([[4, 5, -1]]), torch.tensor([6])).tolist()
        [[5, 6, -1]]
    """
    after = F.pad(x[:, 1:], (0, 1), value=-1)
    return after.scatter(1, (x >= 0).sum(1, keepdim=True) - 1, y[:, None].to(x.dtype))


def prompts(x: Tensor, decoder: Decoder) -> tuple[Tensor, Tensor]:
    """Return contexts as tokens ``(b, t)`` that can be embedded, and their lengths ``(b,)``.

    Raises:
        ValueError: if ``x`` is not ``(b, t)`` integers, is longer than the context, holds an empty context, a token
            outside the vocabulary, or -1 before the end.
    """
    if x.ndim != 2 or x.is_floating_point() or x.dtype == torch.bool:
        raise ValueError(f"x is {tuple(x.shape)} {x.dtype}; expected (b, t) integer tokens")
    length = (x >= 0).sum(1)
    if not torch.compiler.is_exporting():  # a graph cannot refuse values
        _check_values(x, length, decoder)
    return x[:, : decoder.context].clamp_min(0).long(), length


def _check_values(x: Tensor, length: Tensor, decoder: Decoder) -> None:
    if x.shape[1] > decoder.context and int(length.max()) > decoder.context:
        raise ValueError(f"a context has {int(length.max())} tokens; expected at most {decoder.context}")
    x = x[:, : decoder.context]
    real = x >= 0
    outside = (x < -1) | (x >= decoder.vocabulary)
    if bool(outside.any()):
        row, position = outside.nonzero()[0].tolist()
        raise ValueError(
            f"context {row} has token {int(x[row, position])} at position {position}; expected 0 to"
            f" {decoder.vocabulary - 1}"
        )
    gap = real != (torch.arange(x.shape[1], device=x.device) < length[:, None])
    if bool(gap.any()) or bool((length == 0).any()):
        row = int((gap.any(1) | (length == 0)).nonzero()[0])
        what = "is empty" if int(length[row]) == 0 else "has -1 before its end"
        raise ValueError(f"context {row} {what}; expected tokens, then -1 to the end")
