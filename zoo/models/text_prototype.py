"""Text prototypes: a text is compared with a few training sentences, chosen by an exact sparse fit.

Source: defined here; the idea of prototypes that are training sentences is that of Friedrich, Schramowski, Tauchmann,
Kersting, Interactively Providing Explanations for Transformer Language Models, HHAI 2022 (Proto-Trex).

There prototypes are free vectors that are replaced by the nearest sentence at the end, which costs accuracy. Here they
are sentences from the beginning: an L1 path over the similarities with many candidates chooses them, and the head is
fitted again on the chosen ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch, content_hash
from zoo.capabilities import Sources, SourceText
from zoo.explanation import Explanation, Units
from zoo.layers.text.anchor_choice import RIDGES, choose_anchors, standardized
from zoo.layers.text.sentence_encoder import token_shares
from zoo.layers.text.sparse_path import refit
from zoo.layers.text.stored_texts import pack_texts, unpack_texts
from zoo.layers.text.text_model import TextModel
from zoo.registry import register

NAME = 70  # characters of a sentence in the name of its unit
DESCRIBE = (
    "This model compares a text with a few sentences of the training data. The strength of a sentence is its similarity"
    " with the text, the cosine of their vectors: 1 for the same meaning, about 0 for an unrelated text. A text that is"
    " more similar to a sentence than the average text gets evidence for the class of that sentence, and one that is"
    " less similar gets evidence against it."
)

OF_UNITS = ("anchors", "owner", "mean", "std", "codes", "source_index", "source_hash", "text_ends", "text_bytes")


@register
class TextPrototype(TextModel):
    """Cosine similarity with u training sentences, standardized over the training texts, and a linear head.

    ``choose_anchors`` chooses the sentences; an average similarity adds 0. ``where`` has what each token adds to the
    similarity, exact for the norm of the vector as it is.

    Args:
        own_class: whether similarity with a sentence may only argue for the sentence's class and against the others.
        common: the arguments of ``zoo.layers.text.text_model.TextModel``.

    Attributes:
        anchors: ``(u, d)`` vectors of the sentences, of norm 1.
        owner: ``(u,)`` their classes.
        codes: ``(u, t)`` their tokens.

    Example:
        >>> import zoo
        >>> words = {"tokens": ["[UNK]", "good", "bad"], "length": 4, "unknown": "[UNK]"}
        >>> model = zoo.create_model("text_prototype", num_classes=2, sequence=words, width=8).eval()
        >>> model.explain(torch.tensor([[1, 2, -1, -1]])).where.shape
        torch.Size([1, 2, 4])
    """

    anchors: Tensor
    owner: Tensor
    mean: Tensor
    std: Tensor
    codes: Tensor
    source_index: Tensor
    source_hash: Tensor
    text_ends: Tensor
    text_bytes: Tensor

    def __init__(self, *, own_class: bool = True, **common: Any) -> None:
        super().__init__(**common)
        self.own_class = own_class
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
        self.register_buffer("source_index", torch.full((u,), -1))
        self.register_buffer("source_hash", torch.full((u,), -1))
        self.register_buffer("text_ends", torch.zeros(u, dtype=torch.int64))
        self.register_buffer("text_bytes", torch.zeros(0, dtype=torch.uint8))
        self.register_load_state_dict_pre_hook(_resize)

    @property
    def head_dtype(self) -> torch.dtype:
        """Type of the numbers of the head."""
        return self.head.weight.dtype

    @property
    def units(self) -> Units:
        """The sentences, named by class, number and their first words."""
        texts = self.anchor_texts()
        seen = [0] * self.num_classes
        names = []
        for c, text in zip(self.owner.tolist(), texts, strict=True):
            short = text if len(text) <= NAME else f"{text[: NAME - 1]}…"
            names.append(f"{self.owner_name(c)} #{seen[c]}" + (f": “{short}”" if text else ""))
            seen[c] += 1
        return Units("prototype", names, self.owner, describe=DESCRIBE, signed=True)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance: ``sources`` and ``source_texts`` once sentences are chosen."""
        return frozenset({"sources", "source_texts"} if bool((self.source_index >= 0).any()) else ())

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``head``; of an encoder trained here also ``encoder`` and ``probe``."""
        return {**self.encoder_parts(), "head": self.head}

    def part_of(self, key: str) -> str:
        """Return the name of the trainable part that a tensor of the state dict belongs to."""
        part = key.split(".", 1)[0]
        return part if part in self.trainable_parts() else "head"

    def anchor_texts(self) -> list[str]:
        """Return the u sentences as they were written; empty texts before they are chosen."""
        return unpack_texts(self.text_bytes, self.text_ends)

    def sources(self) -> Sources:
        """Return the training sample of each sentence."""
        return Sources(self.source_index, self.source_hash)

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
        where = token_shares(states, x, self.anchors[shown.clamp_min(0)]) * (shown >= 0)[..., None]
        base = self.head.bias[target]
        return Explanation(self.units, logits, target, strength, contribution, base, shown, where.to(strength))

    @torch.no_grad()
    def source_texts(self, x: Tensor, units: Tensor) -> list[list[SourceText]]:
        """Return for each of the texts ``(b, t)`` the sentences ``(b, k)`` with what their own tokens add."""
        vectors = self.unit_vectors(x)
        ids = units.clamp_min(0)
        codes = self.codes[ids.flatten()]
        shares = token_shares(self.encoder.states(codes), codes, vectors.repeat_interleave(ids.shape[1], 0)[:, None])
        texts = self.anchor_texts()
        pieces = self.pieces(codes, [texts[i] for i in ids.flatten().tolist()])
        rows = [SourceText(p, s[0, : len(p)].float().cpu()) for p, s in zip(pieces, shares, strict=True)]
        k = ids.shape[1]
        return [rows[i * k : (i + 1) * k] for i in range(len(x))]

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: the loss of the probe, which trains the encoder; or of the head, where a phase trains that."""
        if "head" in self.phase.lr:
            return {"task": self.task_loss(self(batch.x), batch)}
        return {"task": self.probe_loss(batch)}

    @torch.no_grad()
    def choose_anchors(
        self,
        loader: Iterable[Batch],
        *,
        val: Any = None,
        max_units: int = 30,
        candidates: int = 1000,
        smallest: bool = True,
    ) -> dict[str, float]:
        """Choose the sentences and fit the head, see ``zoo.layers.text.anchor_choice.choose_anchors``.

        Args:
            loader: all training texts.
            val: true in a config: the validation texts, on which the number of sentences is chosen.
            max_units: largest number of sentences.
            candidates: number of training texts that may be chosen.
            smallest: whether the smallest choice within one standard error of the best is taken, or the best.

        Raises:
            ValueError: if there are no validation texts.
        """
        if not val:
            raise ValueError("choose_anchors chooses on validation texts; expected val: true, and data.val above 0")
        x, z, y, index = self.split_vectors(loader)
        _, val_z, val_y, _ = self.split_vectors(val)
        choice = choose_anchors(
            x,
            z,
            y,
            (val_z, val_y),
            classes=self.num_classes,
            max_units=max_units,
            candidates=candidates,
            own_class=self.own_class,
            smallest=smallest,
        )
        ids = choice.ids
        self._set_anchors(x[ids], z[ids], y[ids], index[ids])
        self._set_head(choice.weight, choice.bias, choice.mean, choice.std)
        return choice.figures

    @torch.no_grad()
    def refit_head(self, loader: Iterable[Batch], *, l2: float = RIDGES[1]) -> dict[str, float]:
        """Fit the head on the sentences that there are, with a ridge; after a sentence was added or removed.

        Args:
            loader: all training texts.
            l2: strength of the ridge.
        """
        x, z, y, _ = self.split_vectors(loader)
        place = {tuple(row): i for i, row in enumerate(x.tolist())}
        own = torch.tensor([place.get(tuple(row), -1) for row in self.codes.tolist()])
        scores, mean, std = standardized(z, self.anchors.cpu(), own)
        sign = (2.0 * F.one_hot(self.owner.cpu(), self.num_classes).T - 1) if self.own_class else None
        weight, bias, residual = refit(scores, y, classes=self.num_classes, l2=l2, sign=sign)
        self._set_head(weight, bias, mean, std)
        return {"kkt residual": residual}

    @torch.no_grad()
    def set_anchors(self, x: Tensor, y: Tensor) -> None:
        """Replace all sentences by texts ``(u, t)`` of classes ``(u,)``; call ``refit_head`` afterwards."""
        x = x.to(self.anchors.device)
        self._set_anchors(x, self.unit_vectors(x), y, torch.full((len(y),), -1))
        self._set_head(torch.zeros(self.num_classes, len(y)), self.head.bias, torch.zeros(len(y)), torch.ones(len(y)))

    def _set_anchors(self, x: Tensor, z: Tensor, y: Tensor, index: Tensor) -> None:
        data, ends = pack_texts(self.written(x))
        device = self.anchors.device
        values = {"anchors": z.to(self.anchors.dtype), "owner": y, "codes": x, "source_index": index}
        values |= {"source_hash": content_hash(x), "text_bytes": data, "text_ends": ends}
        for name, value in values.items():
            setattr(self, name, value.to(device).clone())

    def _set_head(self, weight: Tensor, bias: Tensor, mean: Tensor, std: Tensor) -> None:
        like = self.head.bias
        self.head.in_features = weight.shape[1]
        self.head.weight = nn.Parameter(weight.to(like).clone())
        self.head.bias.copy_(bias.to(like))
        self.mean, self.std = mean.to(like), std.to(like)

    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take the number of sentences and their lengths from a state about to be loaded."""
        for name in OF_UNITS:
            if f"{prefix}{name}" in state:
                old = getattr(self, name)
                setattr(self, name, torch.zeros_like(state[f"{prefix}{name}"], dtype=old.dtype, device=old.device))
        if f"{prefix}head.weight" in state:
            weight = state[f"{prefix}head.weight"]
            self.head.in_features = weight.shape[1]
            self.head.weight = nn.Parameter(torch.zeros_like(weight, device=self.head.bias.device))


def _resize(module: TextPrototype, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    module.resize_for(state, prefix)
