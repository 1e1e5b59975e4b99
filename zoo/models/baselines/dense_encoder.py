"""Dense encoder: a standard transformer on labeled sequences without units, the baseline of transformer programs.

Source: Vaswani et al., Attention Is All You Need, NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.layers.black_box_model import BlackBoxModel
from zoo.layers.transformer.encoder import Encoder
from zoo.programs.label_positions import read_rows, shares
from zoo.programs.learn.word_vectors import start, word_vectors
from zoo.registry import register
from zoo.sequence_spec import NOTHING, Frame


@register
class DenseEncoder(BlackBoxModel):
    """Transformer encoder and linear head.

    Inputs are those of ``zoo.data.labeled_sequences``: token codes ``(b, length)``, after the queried position unless
    ``pooled``.

    Args:
        num_classes: c.
        sequence: format of the sequences; filled in from the data.
        width: of the residual stream.
        depth: number of blocks.
        heads: of each block.
        hidden: width of the MLPs; 0 for 4 widths.
        dropout: of the embedded words, of the output of each sub-layer and before the head.
        causal: a position attends only to itself and those before it.
        pooled: one prediction for the sequence, from the mean over its positions.

    Example:
        >>> import zoo
        >>> frame = {"tokens": ["a", "b"], "length": 3}
        >>> model = zoo.create_model("dense_encoder", num_classes=2, sequence=frame, width=8, depth=1).eval()
        >>> model(torch.tensor([[0, 1, 0, 1]])).shape  # the class of position 0 of "bab"
        torch.Size([1, 2])
    """

    input_kind = "tokens"

    def __init__(
        self,
        *,
        num_classes: int | None = None,
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
            raise ValueError("the data have no token sequences; expected labeled sequences of tokens, such as rasp")
        if num_classes is None or num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}; expected at least 1")
        spec = {key: value for key, value in sequence.items() if key != "classes"}
        self.frame = Frame.from_config(spec)
        self.pooled = pooled
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
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, num_classes)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset({"extra_metrics"})

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``embed``, ``blocks``, ``norm`` and ``head``."""
        encoder = self.encoder
        return {"embed": encoder.embed, "blocks": encoder.blocks, "norm": encoder.norm, "head": self.head}

    def part_of(self, key: str) -> str:
        """Return the name of the trainable part that a tensor of the state dict belongs to."""
        return key.removeprefix("encoder.").split(".", 1)[0]

    def encode(self, x: Tensor) -> Tensor:
        """Return the stream ``(b, d)`` at each queried position, or its mean over the sequence."""
        codes, asked = read_rows(self.frame, x, pooled=self.pooled)
        if self.training and len(codes):  # trim padding
            codes = codes[:, : int((codes != NOTHING).sum(1).max())]
        stream = self.encoder(codes)
        if not self.pooled:
            return stream[asked[:, 0], asked[:, 1]]
        real = (codes != NOTHING).to(stream)[:, :, None]
        return ((stream * real).sum(1) / real.sum(1))[asked[:, 0]]

    @torch.no_grad()
    def embed(self, loader: Iterable[Batch], *, size: float = 0.5) -> dict[str, float]:
        """Initialize word embeddings as in transformer programs, from co-occurrences, times ``size``."""
        rows = [read_rows(self.frame, batch.x, pooled=self.pooled)[0] for batch in loader]
        vectors = word_vectors(torch.cat(rows), len(self.frame.tokens))
        weight = self.encoder.embed.weight
        weight.copy_(size * start(vectors, 1, weight.shape[1], 1)[0, 0].T)
        return {"words": float(len(vectors))}

    @torch.no_grad()
    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return accuracy of whole sequences and accuracy by length."""
        rows = [(b.x, self(b.x.to(self.device)).argmax(1).cpu() == b.targets) for b in loader]
        x, correct = (torch.cat(column) for column in zip(*rows, strict=True))
        return shares(self.frame, *read_rows(self.frame, x, pooled=self.pooled), correct, pooled=self.pooled)
