"""Dense encoder: an ordinary transformer on labelled sequences, the reference of transformer programs.

Of the same data, with words that begin with the same properties; no units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.explanation import Explanation, Units
from zoo.layers.transformer.encoder import Encoder
from zoo.model import SelfExplaining
from zoo.programs.label_positions import read_rows, shares
from zoo.programs.learn.word_vectors import start, word_vectors
from zoo.registry import register
from zoo.sequence_spec import NOTHING, Frame


@register
class DenseEncoder(SelfExplaining):
    """Encoder and linear head. Its vocabulary of units is empty: the whole logit is ``base``.

    Inputs are ``zoo.data.labeled_sequences``: token codes ``(b, length)``, with the position asked in
    front unless ``pooled``.

    Args:
        num_classes: c.
        sequence: what sequences look like; filled in from the data.
        width: of the residual stream.
        depth: blocks.
        heads: of each block.
        hidden: width of the MLPs; 0 for 4 widths.
        dropout: of the embedded words, of what each sub-layer adds and before the head.
        causal: a position sees only what comes before.
        pooled: one answer for the sequence, from the mean over its positions.
    """

    input_kind = "tokens"

    def __init__(
        self,
        *,
        num_classes: int,
        sequence: dict[str, Any] | None = None,
        width: int = 128,
        depth: int = 3,
        heads: int = 4,
        hidden: int = 0,
        dropout: float = 0.1,
        causal: bool = False,
        pooled: bool = False,
    ) -> None:
        super().__init__()
        if not sequence:
            raise ValueError("a dense encoder reads labelled sequences of tokens; choose data that are, such as rasp")
        if num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}; expected at least 1")
        told = dict(sequence)
        told.pop("classes", None)
        self.frame, self.pooled = Frame.from_config(told), pooled
        self.save_hyperparameters()
        self.hparams["input_shape"] = [self.frame.length + (not pooled)]
        self.encoder = Encoder(
            len(self.frame.tokens),
            self.frame.length,
            width=width,
            depth=depth,
            heads=heads,
            hidden=hidden,
            causal=causal,
            dropout=dropout,
        )
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(width, num_classes)

    @property
    def units(self) -> Units:
        """No units."""
        return Units("none", ())

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset({"extra_metrics"})

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``embed``, ``blocks``, ``norm`` and ``head``."""
        return {**{name: getattr(self.encoder, name) for name in ("embed", "blocks", "norm")}, "head": self.head}

    def part_of(self, key: str) -> str:
        """The part that a tensor of the state belongs to."""
        return key.removeprefix("encoder.").split(".", 1)[0]

    def encode(self, x: Tensor) -> Tensor:
        """The stream ``(b, d)`` at each position asked, or its mean over the sequence."""
        codes, asked = read_rows(self.frame, x, pooled=self.pooled)
        if self.training and len(codes):  # nothing stands behind the longest
            codes = codes[:, : int((codes != NOTHING).sum(1).max())]
        stream = self.encoder(codes)
        if not self.pooled:
            return stream[asked[:, 0], asked[:, 1]]
        real = (codes != NOTHING).to(stream)[:, :, None]
        return ((stream * real).sum(1) / real.sum(1))[asked[:, 0]]

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """The linear head; there is nothing to set."""
        logits = self.head(self.dropout(state))
        return logits if mask is None else logits.expand(*mask.shape[:-1], -1)

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """The honest explanation of a black box: no unit claims anything."""
        logits = self(x)
        target = self.resolve_target(logits, target)
        none = logits.new_zeros(len(x), 0)
        base = logits.gather(1, target[:, None])[:, 0]
        ids = torch.zeros(len(x), 0, dtype=torch.int64, device=x.device)
        return Explanation(self.units, logits, target, none, none, base, ids)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Cross-entropy, mean over questions."""
        return {"task": F.cross_entropy(self(batch.x), batch.y)}

    @torch.no_grad()
    def embed(self, loader: Iterable[Batch], *, size: float = 0.5) -> dict[str, float]:
        """Let words begin with the properties that those of a transformer program begin with, times ``size``."""
        rows = [read_rows(self.frame, batch.x, pooled=self.pooled)[0] for batch in loader]
        vectors = word_vectors(torch.cat(rows), len(self.frame.tokens))
        weight = self.encoder.embed.weight
        weight.copy_(size * start(vectors, 1, weight.shape[1], 1)[0, 0].T)
        return {"words": float(len(vectors))}

    @torch.no_grad()
    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Whole sequences right, and accuracy by length."""
        rows = [(b.x, self(b.x.to(self.device)).argmax(1).cpu() == b.y) for b in loader]
        x, right = (torch.cat(c) for c in zip(*rows, strict=True))
        return shares(self.frame, *read_rows(self.frame, x, pooled=self.pooled), right, pooled=self.pooled)
