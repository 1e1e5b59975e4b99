"""Base class of token sources: one long row of tokens, and contexts cut out of it."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.concept_schema import ConceptSchema
from zoo.data.base import Data, SplitName
from zoo.data.mapped_tensors import long_row
from zoo.data.sampler import mix
from zoo.data.split import BatchDataset, Split
from zoo.inputs.base import Inputs
from zoo.inputs.text import TextInputs
from zoo.inputs.texts.tokenizers import Tokenizer, Words

HASHED = 1 << 24  # tokens hashed at a time
SCORED = 1 << 22  # tokens scored at a time
PART = 1 << 18  # windows read at a time


class NumberedNames(Sequence[str]):
    """The names ``{prefix}00000``, ``{prefix}00001``, ... without n strings in memory.

    Args:
        prefix: common beginning.
        n: number of names.
    """

    def __init__(self, prefix: str, n: int) -> None:
        self.prefix = prefix
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: Any) -> Any:
        if not -self.n <= i < self.n:
            raise IndexError(i)
        return f"{self.prefix}{i % self.n:05d}"


def release(tokens: np.ndarray) -> None:
    """Take the pages of a memory-mapped file that were read out of the memory of this process."""
    mapped = getattr(tokens, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


class TokenWindowData(Data):
    """A source of contexts ``(b, context)`` of tokens, padded with -1; the class is the next token.

    Training and validation samples are whole windows, with a target at every position. Test samples are single
    positions: the length of each is drawn, all lengths being equally likely. A subclass sets ``class_names``, reads
    ``_tokens`` and cuts contexts in ``_read``.

    Args:
        context: maximum number of tokens of a context.
        batch_size: windows per batch on each rank.
        common: other arguments of ``zoo.data.base.Data``.

    Raises:
        ValueError: if an argument is out of range.
    """

    capabilities = frozenset({"fixed_shape", "windows"})
    begins_with: ClassVar[tuple[str, ...]] = ()  # tokens at the start of every context
    random_shift: ClassVar[bool] = False  # whether training windows are shifted by a random offset in each epoch

    def __init__(self, *, context: int, batch_size: int = 64, **common: Any) -> None:
        super().__init__(batch_size=batch_size, **common)
        if context < 1:
            raise ValueError(f"data.context is {context}; expected 1 or more tokens")
        self.context = context

    @property
    def inputs(self) -> TextInputs:
        """The tokenizer and the length of a context; the class is the next token."""
        return TextInputs(self.input_tokenizer(), self.context, class_names=None, before=self.begins_with)

    def use_inputs(self, inputs: Inputs, concepts: ConceptSchema | None = None) -> None:
        """Check that the tokens are those of a trained model.

        Raises:
            ValueError: if the model reads other inputs, or tokens differ; they are listed.
        """
        if not isinstance(inputs, TextInputs) or not inputs.next_token:
            raise ValueError(f"the model reads inputs of kind {inputs.kind!r}, not contexts of tokens; name other data")
        self.use_tokenizer(inputs.tokenizer)

    def input_tokenizer(self) -> Tokenizer:
        """Return how a text becomes tokens: by default, each word between spaces is one."""
        return Words(self.class_names)

    def use_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Read with the tokenizer of a trained model; a source with a fixed vocabulary checks that it is the same."""
        own = self.input_tokenizer()
        TextInputs(tokenizer, self.context, class_names=None).check(own)

    @property
    def _tokens(self) -> np.ndarray:
        """All tokens in one row ``(n,)``, unsigned integers."""
        raise TypeError(f"{type(self).__name__} has no _tokens property; expected one that returns all tokens")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """``(context,)``."""
        return (self.context,)

    @property
    def input_scale(self) -> str:
        """Description of the numbers of an input, for a model card."""
        return "tokens, padded with -1"

    def _windows(self, name: str, start: np.ndarray) -> Split:
        """Return whole windows that begin at ``start`` ``(n,)``."""
        return self._contexts(name, start, np.broadcast_to(np.int64(self.context), start.shape))

    def _positions(self, name: str, start: np.ndarray) -> Split:
        """Return one position of each window, drawn from the seed."""
        generator = np.random.default_rng(mix(self.seed, 17))
        return self._contexts(name, start, generator.permutation(len(start)) % self.context + 1)

    def _contexts(self, name: str, start: np.ndarray, length: np.ndarray) -> Split:
        y = long_row(len(start))
        for first in range(0, len(start), PART):
            part = slice(first, first + PART)
            y[part] = torch.from_numpy(self._tokens[start[part] + length[part]].astype(np.int64))
            release(self._tokens)
        rows = torch.from_numpy(start.astype(np.int64, copy=False))
        if len(length) and not length.strides[0]:  # one length for all takes the memory of one
            lengths = torch.tensor(int(length[0])).expand(len(length))
        else:
            lengths = torch.from_numpy(length.astype(np.int64))
        return Split(NumberedNames(f"{name}/", len(start)), y, rows=rows, lengths=lengths)

    def _check_split(self, name: str, split: Split) -> None:
        """Accept every split: all positions are targets, so the last tokens of the windows need not be all classes."""

    def _serve(self, name: SplitName, *, augment: bool) -> BatchDataset:
        seed = self.seed if augment and self.random_shift else None
        return ContextDataset(self._split(name), self._tokens, self.context, seed)

    def windows(self, name: SplitName) -> Tensor:
        """Return whole windows ``(n, context + 1)`` of a split, each with the token that follows it."""
        start = self._split(name).rows
        assert start is not None
        return torch.from_numpy(self._tokens[start.numpy()[:, None] + np.arange(self.context + 1)].astype(np.int64))

    @torch.no_grad()
    def nats(self, model: Any, windows: Tensor, *, batch_size: int = 64) -> tuple[Tensor, Tensor]:
        """Return loss in nats and correctness of a language model at every position of windows ``(n, context + 1)``.

        Args:
            model: a language model (``zoo.capabilities.LanguageModel``) with a ``device``.
            windows: tokens, padded with -1.
            batch_size: windows per forward pass.

        Returns:
            Loss ``(n, context)`` float64 and whether the most likely token is the next one ``(n, context)`` bool. Where
            no token follows, the loss is NaN and the guess is wrong.
        """
        losses: list[Tensor] = []
        correct: list[Tensor] = []
        for batch in windows.split(batch_size):
            logits = model.position_logits(batch[:, :-1].to(model.device)).cpu().double()
            y = batch[:, 1:]
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.clamp_min(0).flatten(), reduction="none")
            losses.append(loss.view_as(y).masked_fill(y < 0, torch.nan))
            correct.append(logits.argmax(2) == y)
        return torch.cat(losses), torch.cat(correct)

    def window_parts(self, name: SplitName) -> Iterator[Tensor]:
        """Yield the windows ``(n, context + 1)`` of a split in parts of about ``SCORED`` tokens."""
        rows = self._split(name).rows
        assert rows is not None
        offset = np.arange(self.context + 1)
        for start in rows.split(max(1, SCORED // len(offset))):
            yield torch.from_numpy(self._tokens[start.numpy()[:, None] + offset].astype(np.int64))

    def next_token_metrics(self, model: Any, windows: Iterable[Tensor]) -> dict[str, float]:
        """Return ``nats per token`` and ``token accuracy`` over all positions of windows.

        Args:
            model: a language model with a ``device``.
            windows: parts ``(n, context + 1)``, padded with -1.
        """
        means: list[Tensor] = []
        counts: list[int] = []
        for part in windows:
            loss, correct = self.nats(model, part)
            real = part[:, 1:] >= 0
            means.append(torch.stack([loss[real].mean(), correct[real].double().mean()]))
            counts.append(int(real.sum()))
        weight = torch.tensor(counts, dtype=torch.float64) / sum(counts)
        mean = (torch.stack(means) * weight[:, None]).sum(0)
        return dict(zip(("nats per token", "token accuracy"), mean.tolist(), strict=True))

    def fingerprint(self) -> str:
        """Return the fingerprint of ``Data``, extended by all tokens."""
        content = hashlib.sha256(super().fingerprint().encode())
        for start in range(0, len(self._tokens), HASHED):
            content.update(np.ascontiguousarray(self._tokens[start : start + HASHED]).view(np.uint8).data)
            release(self._tokens)
        return content.hexdigest()[:12]

    def token_texts(self, x: Tensor) -> list[list[str]]:
        """Return the texts of the tokens of contexts ``(b, t)``."""
        return [[self.class_names[i] for i in row if i >= 0] for row in x.tolist()]

    def padded(self, tokens: Sequence[int], text: str) -> Tensor:
        """Return tokens as a context ``(context,)`` padded with -1.

        Args:
            tokens: the tokens.
            text: the text they are from, for error messages.

        Raises:
            ValueError: if there are no tokens, or too many.
        """
        if not tokens:
            raise ValueError("the prompt is empty; give at least one token")
        if len(tokens) > self.context:
            shown = text if len(text) <= 40 else f"{text[:40]}..."
            raise ValueError(f"the prompt {shown!r} has {len(tokens)} tokens; the model reads {self.context} at most")
        return torch.nn.functional.pad(torch.tensor(tokens), (0, self.context - len(tokens)), value=-1)


class ContextDataset(BatchDataset):
    """Serves batches of (epoch, index) pairs out of a row of tokens.

    Args:
        split: n samples, with ``rows`` and ``lengths``.
        tokens: all tokens.
        context: maximum number of tokens of a context.
        seed: random seed of the offset by which all windows of an epoch are shifted; None for no shift.
    """

    def __init__(self, split: Split, tokens: np.ndarray, context: int, seed: int | None) -> None:
        assert split.rows is not None
        assert split.lengths is not None
        self.start = split.rows.numpy()
        self.lengths = split.lengths.numpy()
        self.tokens = tokens
        self.context = context
        self.seed = seed
        self.y = split.y
        self.end = int((self.start + self.lengths).max()) if len(split) else 0

    def __len__(self) -> int:
        return len(self.start)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch:
        """Return the batch of (epoch, index) pairs."""
        ids = np.array([index for _, index in keys], dtype=np.int64)
        start = self.start[ids]
        length = self.lengths[ids]
        y = self.y[ids]
        if self.seed is not None:
            shift = np.array([mix(self.seed, epoch) % self.context for epoch, _ in keys])
            start = np.minimum(start + shift, self.end - length)
            y = torch.from_numpy(self.tokens[start + length].astype(np.int64))
        offset = np.arange(self.context)
        real = offset < length[:, None]
        x = np.where(real, self.tokens[np.where(real, start[:, None] + offset, 0)].astype(np.int64), -1)
        return Batch(torch.from_numpy(x), y, torch.from_numpy(ids))
