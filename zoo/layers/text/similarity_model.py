"""The base class of models that compare a text with other texts: cosine similarities and a linear head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.capabilities import SourceText
from zoo.editing.operation import Operation
from zoo.explanation import Explanation, gather
from zoo.layers.text.anchor_edits import AnchorEdits
from zoo.layers.text.sentence_encoder import token_shares
from zoo.layers.text.stored_texts import pack_texts, unpack_texts
from zoo.layers.text.text_model import TextModel
from zoo.what_if import AffineHead


class SimilarityModel(TextModel):
    """Cosine similarity with u texts, standardized over the training texts, and a linear head on it.

    An average similarity adds 0. ``where`` has what each token adds to the similarity, exact for the norm of the text's
    vector as it is. The u texts, their tokens and vectors are buffers: they are saved and loaded with the head.

    Args:
        common: the arguments of ``zoo.layers.text.text_model.TextModel``.

    Attributes:
        anchors: ``(u, d)`` vectors of the texts, of norm 1.
        owner: ``(u,)`` class of each text; -1 for none.
        codes: ``(u, t)`` their tokens.
        mean: ``(u,)`` mean similarity of the training texts.
        std: ``(u,)`` standard deviation.
        head: of the standardized similarities.
    """

    unit_buffers: ClassVar[tuple[str, ...]] = ("anchors", "owner", "mean", "std", "codes", "text_ends", "text_bytes")
    anchors: Tensor
    owner: Tensor
    mean: Tensor
    std: Tensor
    codes: Tensor
    text_ends: Tensor
    text_bytes: Tensor

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        u, d = self.num_classes, self.encoder.width
        self.head = nn.Linear(u, self.num_classes)
        nn.init.eye_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("anchors", F.normalize(torch.randn(u, d, generator=generator), dim=1))
        self.register_buffer("owner", torch.arange(u))
        self.register_buffer("mean", torch.zeros(u))
        self.register_buffer("std", torch.ones(u))
        self.register_buffer("codes", torch.full((u, self.encoder.length), -1))
        self.register_buffer("text_ends", torch.zeros(u, dtype=torch.int64))
        self.register_buffer("text_bytes", torch.zeros(0, dtype=torch.uint8))
        self.register_load_state_dict_pre_hook(_resize)

    @property
    def head_dtype(self) -> torch.dtype:
        """Type of the numbers of the head."""
        return self.head.weight.dtype

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return super().capabilities | {"affine_head", "editable"}

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``head``; of an encoder trained here also ``encoder`` and ``probe``."""
        return {**self.encoder_parts(), "head": self.head}

    def unit_texts(self) -> list[str]:
        """Return the u texts as they were written; empty ones before they are chosen."""
        return unpack_texts(self.text_bytes, self.text_ends)

    def encode(self, x: Tensor) -> Tensor:
        """Return the similarities ``(b, u)`` of texts ``(b, t)``."""
        return self.unit_vectors(x) @ self.anchors.T

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Apply the head to the similarities, some of them set."""
        if mask is not None and value is not None:
            state = torch.where(mask, value.to(state), state)
        return self.head((state - self.mean) / self.std)

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by weight times standardized similarity, exact; ``where`` is each token's share of the similarity."""
        vectors, states = self.unit_vectors_and_states(x)
        strength = vectors @ self.anchors.T
        logits = self.decide(strength)
        target = self.resolve_target(logits, target)
        contribution = (strength - self.mean) / self.std * self.head.weight[target]
        shown = self.resolve_shown(contribution, shown)
        where = gather(token_shares(states, x, self.anchors), shown)
        base = self.head.bias[target]
        return Explanation(self.units, logits, target, strength, contribution, base, shown, where.to(strength))

    def affine_head(self, x: Tensor) -> AffineHead:
        """Return the head; a text that is switched off has its mean similarity with the training texts."""
        weight = self.head.weight / self.std
        return AffineHead(weight, -weight * self.mean, self.mean, self.mean)

    @torch.no_grad()
    def source_texts(self, x: Tensor, units: Tensor) -> list[list[SourceText]]:
        """Return for each of the inputs ``(b, t)`` the texts of units ``(b, k)`` with what their own tokens add."""
        vectors = self.unit_vectors(x)
        k = units.shape[1]
        ids = units.clamp_min(0).flatten()
        codes, texts = self.codes[ids], self.unit_texts()
        shares = token_shares(self.encoder.states(codes), codes, vectors.repeat_interleave(k, 0)[:, None])
        pieces = self.pieces(codes, [texts[i] for i in ids.tolist()])
        rows = [SourceText(p, s[0, : len(p)].float().cpu()) for p, s in zip(pieces, shares, strict=True)]
        return [rows[i * k : (i + 1) * k] for i in range(len(x))]

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: the loss of the head where a phase trains it; otherwise of the probe, which trains the encoder."""
        return {"task": self.task_loss(self(batch.x), batch) if "head" in self.phase.lr else self.probe_loss(batch)}

    # The vocabulary.

    def set_texts(self, texts: Sequence[str], x: Tensor, z: Tensor, owner: Tensor) -> None:
        """Replace the u texts; ``set_head`` must follow.

        Args:
            texts: as they were written.
            x: ``(u, t)`` their tokens.
            z: ``(u, d)`` their vectors, of norm 1.
            owner: ``(u,)`` classes, -1 for none.
        """
        data, ends = pack_texts(texts)
        values = {"anchors": z.to(self.anchors.dtype), "owner": owner, "codes": x, "text_bytes": data}
        for name, value in {**values, "text_ends": ends}.items():
            setattr(self, name, value.to(self.anchors.device).clone())

    def set_head(self, weight: Tensor, bias: Tensor, mean: Tensor, std: Tensor) -> None:
        """Set weights ``(c, u)``, bias ``(c,)``, and mean and standard deviation ``(u,)`` of the similarities."""
        like = self.head.bias
        self.head.in_features = weight.shape[1]
        self.head.weight = nn.Parameter(weight.to(like).clone())
        self.head.bias.copy_(bias.to(like))
        self.mean, self.std = mean.to(like), std.to(like)

    def edit_operations(self) -> dict[str, Operation]:
        """Return the operations on texts, see ``zoo.layers.text.anchor_edits``."""
        return AnchorEdits(self).operations()

    def head_signs(self) -> Tensor | None:
        """Return the sign ``(c, u)`` that a weight may have: 1, -1, 0 for either, NaN for none; None for all either."""
        return None

    def take_sources(self, units: Sequence[int], codes: Tensor) -> None:
        """Keep what is known of the sources of the texts after an edit: by old id, -1 and further ones for new texts.

        Args:
            units: old ids.
            codes: ``(n, t)`` of the new texts.
        """

    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take the number of texts and their lengths from a state about to be loaded."""
        for name in self.unit_buffers:
            if f"{prefix}{name}" in state:
                old = getattr(self, name)
                setattr(self, name, torch.zeros_like(state[f"{prefix}{name}"], dtype=old.dtype, device=old.device))
        if f"{prefix}head.weight" in state:
            weight = state[f"{prefix}head.weight"]
            self.head.in_features = weight.shape[1]
            self.head.weight = nn.Parameter(torch.zeros_like(weight, device=self.head.bias.device))


def _resize(module: SimilarityModel, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    module.resize_for(state, prefix)
