"""What all sources of token sequences share: one long row of tokens, and contexts cut out of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from zoo.batch import Batch
from zoo.data.base import Data, SplitName
from zoo.data.sampler import mix
from zoo.data.split import Split


class Numbered(Sequence):
    """``{prefix}00000``, ``{prefix}00001``, ... without keeping n names in memory."""

    def __init__(self, prefix: str, n: int) -> None:
        self.prefix, self.n = prefix, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> str:
        if not -self.n <= i < self.n:
            raise IndexError(i)
        return f"{self.prefix}{i % self.n:05d}"


class SequenceData(Data):
    """A source of contexts ``(b, context)`` of tokens, -1 behind their end; the class is the token that follows.

    Training and validation samples are whole windows, whose every position is learnt from. Test samples are single
    positions: each has as many tokens as was drawn for it, all lengths being equally likely. A subclass sets
    ``class_names``, reads ``_tokens`` and says in ``_read`` where contexts begin.

    Args:
        context: tokens of a context at most.
        batch_size: of one rank.
        common: the other arguments of ``Data``.

    Raises:
        ValueError: if an argument is out of range.
    """

    moves = False  # whether windows may begin anywhere

    def __init__(self, *, context: int, batch_size: int = 64, **common: Any) -> None:
        super().__init__(batch_size=batch_size, **common)
        if context < 1:
            raise ValueError(f"data.context is {context}; expected 1 or more tokens")
        self.context = context

    @property
    def _tokens(self) -> np.ndarray:
        """All tokens in a row."""
        raise ValueError(f"{type(self).__name__} does not say what its tokens are; give it a _tokens property")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """``(context,)``."""
        return (self.context,)

    @property
    def input_scale(self) -> str:
        """Tokens."""
        return "tokens, -1 behind the end"

    def _windows(self, name: str, start: np.ndarray) -> Split:
        """Whole windows that begin at ``start`` ``(n,)``."""
        return self._contexts(name, start, np.full(len(start), self.context))

    def _positions(self, name: str, start: np.ndarray) -> Split:
        """One position in each window, drawn from the seed."""
        g = np.random.default_rng(mix(self.seed, 17))
        return self._contexts(name, start, g.permutation(len(start)) % self.context + 1)

    def _contexts(self, name: str, start: np.ndarray, length: np.ndarray) -> Split:
        y = torch.from_numpy(self._tokens[start + length].astype(np.int64))
        rows, lengths = (torch.from_numpy(part.astype(np.int64)) for part in (start, length))
        return Split(Numbered(f"{name}/", len(start)), y, rows=rows, lengths=lengths)

    def _check_split(self, name: str, split: Split) -> None:
        """Nothing: every window is learnt from at every position, and a rare token may end none of them."""

    def _serve(self, name: SplitName, *, augment: bool) -> Dataset:
        return Contexts(self._split(name), self._tokens, self.context, self.seed if augment and self.moves else None)

    def windows(self, name: SplitName) -> Tensor:
        """Whole windows ``(n, context + 1)`` of a split, each with the token that follows it."""
        start = self._split(name).rows
        assert start is not None
        return torch.from_numpy(self._tokens[start.numpy()[:, None] + np.arange(self.context + 1)].astype(np.int64))

    @torch.no_grad()
    def nats(self, model: Any, windows: Tensor, *, batch_size: int = 64) -> tuple[Tensor, Tensor]:
        """Loss in nats and whether the first guess is right, ``(n, context)`` each, at every position of windows.

        Where no token follows the loss is NaN and no guess is right.
        """
        told = []
        for some in windows.split(batch_size):
            logits, y = model.position_logits(some[:, :-1].to(model.device)).cpu().double(), some[:, 1:]
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.clamp_min(0).flatten(), reduction="none")
            told.append((loss.view_as(y).masked_fill(y < 0, torch.nan), logits.argmax(2) == y))
        loss, right = (torch.cat(part) for part in zip(*told, strict=True))
        return loss, right

    def fingerprint(self) -> str:
        """As for ``Data``; every token counts too."""
        content = hashlib.sha256(super().fingerprint().encode())
        content.update(np.ascontiguousarray(self._tokens).view(np.uint8))
        return content.hexdigest()[:12]

    def token_texts(self, x: Tensor) -> list[list[str]]:
        """The texts of the tokens."""
        return [[self.class_names[i] for i in row if i >= 0] for row in x.tolist()]

    def padded(self, tokens: Sequence[int], text: str) -> Tensor:
        """Tokens of the user's own as a context ``(context,)``.

        Raises:
            ValueError: if there are none, or too many.
        """
        if not tokens:
            raise ValueError("the prompt is empty; give at least one token")
        if len(tokens) > self.context:
            shown = text if len(text) <= 40 else f"{text[:40]}..."
            raise ValueError(f"the prompt {shown!r} has {len(tokens)} tokens; the model reads {self.context} at most")
        return torch.nn.functional.pad(torch.tensor(tokens), (0, self.context - len(tokens)), value=-1)


class Contexts(Dataset):
    """Serves batches of (epoch, index) pairs out of a row of tokens.

    Args:
        split: n samples, with ``rows`` and ``lengths``.
        tokens: the row.
        context: tokens of a context at most.
        seed: of the shift by which all windows of an epoch begin later; None for no shift.
    """

    def __init__(self, split: Split, tokens: np.ndarray, context: int, seed: int | None) -> None:
        assert split.rows is not None
        assert split.lengths is not None
        self.start, self.lengths, self.tokens = split.rows.numpy(), split.lengths.numpy(), tokens
        self.context, self.seed, self.y = context, seed, split.y
        self.end = int((self.start + self.lengths).max()) if len(split) else 0

    def __len__(self) -> int:
        return len(self.start)

    def __getitems__(self, keys: list[tuple[int, int]]) -> Batch:
        """The batch of these pairs."""
        ids = np.array([index for _, index in keys], dtype=np.int64)
        start, length, y = self.start[ids], self.lengths[ids], self.y[ids]
        if self.seed is not None:
            shift = np.array([mix(self.seed, epoch) % self.context for epoch, _ in keys])
            start = np.minimum(start + shift, self.end - length)
            y = torch.from_numpy(self.tokens[start + length].astype(np.int64))
        at = np.arange(self.context)
        real = at < length[:, None]
        x = np.where(real, self.tokens[np.where(real, start[:, None] + at, 0)].astype(np.int64), -1)
        return Batch(torch.from_numpy(x), y, torch.from_numpy(ids))
