"""Text prototypes: a text is compared with a few training sentences, chosen by an exact sparse fit.

Source: defined here; the idea of prototypes that are training sentences is that of Friedrich, Schramowski, Tauchmann,
Kersting, Interactively Providing Explanations for Transformer Language Models, HHAI 2022 (Proto-Trex).

There prototypes are free vectors that are replaced by the nearest sentence at the end, which costs accuracy. Here they
are sentences from the beginning: an L1 path over the similarities with many candidates chooses them, and the head is
fitted again on the chosen ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.batch import Batch, content_hash
from zoo.capabilities import Sources
from zoo.explanation import Units
from zoo.layers.text.anchor_choice import choose_anchors, standardized
from zoo.layers.text.anchor_edits import taken
from zoo.layers.text.similarity_model import SimilarityModel
from zoo.layers.text.sparse_path import refit
from zoo.registry import register

NAME = 70  # characters of a sentence in the name of its unit
DESCRIBE = (
    "This model compares a text with a few sentences of the training data. The strength of a sentence is its similarity"
    " with the text, the cosine of their vectors: 1 for the same meaning, about 0 for an unrelated text. A text that is"
    " more similar to a sentence than the average text gets evidence for the class of that sentence, and one that is"
    " less similar gets evidence against it."
)


@register
class TextPrototype(SimilarityModel):
    """Cosine similarity with u training sentences, standardized over the training texts, and a linear head.

    ``choose_anchors`` chooses the sentences, see ``zoo.layers.text.similarity_model`` for the rest.

    Args:
        own_class: whether similarity with a sentence may only argue for the sentence's class and against the others.
        common: the arguments of ``zoo.layers.text.text_model.TextModel``.

    Attributes:
        source_index: ``(u,)`` position of each sentence in the training split, -1 for one that was given.
        source_hash: ``(u,)`` content hash of its tokens.

    Example:
        >>> import zoo
        >>> words = {"tokens": ["[UNK]", "good", "bad"], "length": 4, "unknown": "[UNK]"}
        >>> model = zoo.create_model("text_prototype", num_classes=2, sequence=words, width=8).eval()
        >>> model.explain(torch.tensor([[1, 2, -1, -1]])).where.shape
        torch.Size([1, 2, 4])
    """

    unit_buffers: ClassVar[tuple[str, ...]] = (*SimilarityModel.unit_buffers, "source_index", "source_hash")
    source_index: Tensor
    source_hash: Tensor

    def __init__(self, *, own_class: bool = True, **common: Any) -> None:
        super().__init__(**common)
        self.own_class = own_class
        self.register_buffer("source_index", torch.full((self.num_classes,), -1))
        self.register_buffer("source_hash", torch.full((self.num_classes,), -1))

    @property
    def units(self) -> Units:
        """The sentences, named by class, number and their first words."""
        texts = self.unit_texts()
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
        chosen = bool((self.source_index >= 0).any())
        return super().capabilities | ({"sources", "source_texts"} if chosen else set())

    def sources(self) -> Sources:
        """Return the training sample of each sentence."""
        return Sources(self.source_index, self.source_hash)

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
        self._set_sentences(x[ids], z[ids], y[ids], index[ids])
        self.set_head(choice.weight, choice.bias, choice.mean, choice.std)
        return choice.figures

    @torch.no_grad()
    def refit_head(self, loader: Iterable[Batch], *, l2: float = 1e-3) -> dict[str, float]:
        """Fit the head on the sentences that there are, with a ridge; after sentences were added or removed.

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
        self.set_head(weight, bias, mean, std)
        return {"kkt residual": residual}

    @torch.no_grad()
    def set_sentences(self, x: Tensor, y: Tensor) -> None:
        """Replace all sentences by texts ``(u, t)`` of classes ``(u,)``; call ``refit_head`` afterwards."""
        x = x.to(self.anchors.device)
        self._set_sentences(x, self.unit_vectors(x), y, torch.full((len(y),), -1))
        self.set_head(torch.zeros(self.num_classes, len(y)), self.head.bias, torch.zeros(len(y)), torch.ones(len(y)))

    def head_signs(self) -> Tensor | None:
        """Return the sign ``(c, u)`` of weights: positive to the class of a sentence, negative to others."""
        return (2.0 * F.one_hot(self.owner, self.num_classes).T - 1) if self.own_class else None

    def take_sources(self, units: Sequence[int], codes: Tensor) -> None:
        """Keep index and hash of the sentences that stay; those of new ones are -1 and the hash of their tokens."""
        device = self.anchors.device
        index, new = torch.full((len(codes),), -1), content_hash(codes.cpu()) if len(codes) else codes.new_zeros(0)
        self.source_index = taken(self.source_index.cpu(), units, index).to(device)
        self.source_hash = taken(self.source_hash.cpu(), units, new.to(self.source_hash.dtype).cpu()).to(device)

    def _set_sentences(self, x: Tensor, z: Tensor, y: Tensor, index: Tensor) -> None:
        self.set_texts(self.written(x), x, z, y)
        self.source_index = index.to(self.anchors.device).clone()
        self.source_hash = content_hash(x).to(self.anchors.device)
