"""Label-free concepts of texts: similarity with phrases that a person wrote, and a sparse linear head.

Source: Oikarinen, Das, Nguyen, Weng, Label-Free Concept Bottleneck Models, ICLR 2023; for texts, Sun, Oikarinen, Ustun,
Weng, Concept Bottleneck Large Language Models, ICLR 2025.

Unlike there no concept layer is trained and no gold label touches a concept: the strength is the similarity itself. The
accuracy of as many random phrases is reported beside it, since similarities with any phrases carry information.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.batch import Batch
from zoo.explanation import Units
from zoo.layers.text.anchor_choice import standardized
from zoo.layers.text.similarity_model import SimilarityModel
from zoo.layers.text.sparse_path import best_ridge, sparse_path
from zoo.registry import register

RIDGES = (1e-2, 1e-3, 1e-4, 1e-5)
WORDS = 4  # of a random phrase
DESCRIBE = (
    "This model compares a text with phrases that a person wrote. The strength of a phrase is its similarity with the"
    " text, the cosine of their vectors. Each phrase then adds to the score of a class or subtracts from it, compared"
    " with an average text. Nobody has checked whether a phrase is true of a text: it is only similar to it."
)


@register
class TextLabelFree(SimilarityModel):
    """Cosine similarity with phrases, standardized over the training texts, and a sparse linear head.

    ``fit_phrases`` encodes the phrases and fits the head, see ``zoo.layers.text.similarity_model`` for the rest.

    Args:
        phrases: one for each concept; several wordings of one concept with `` / `` between them are averaged.
        common: the arguments of ``zoo.layers.text.text_model.TextModel``.

    Example:
        >>> import zoo
        >>> words = {"tokens": ["[UNK]", "good", "bad"], "length": 4, "unknown": "[UNK]"}
        >>> options = {"num_classes": 2, "sequence": words, "width": 8}
        >>> model = zoo.create_model("text_labelfree", phrases=["good", "bad / not good"], **options).eval()
        >>> model.units.names
        ['phrase 0', 'phrase 1']
    """

    def __init__(self, *, phrases: list[str] | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.phrases = [phrase.strip() for phrase in phrases or []]
        if len(set(self.phrases)) < len(self.phrases) or "" in self.phrases:
            raise ValueError("a phrase is empty or occurs twice in model.phrases; expected different phrases")

    @property
    def units(self) -> Units:
        """The phrases."""
        names = [text or f"phrase {i}" for i, text in enumerate(self.unit_texts())]
        return Units("concept", names, describe=DESCRIBE, signed=True)

    @torch.no_grad()
    def fit_phrases(self, loader: Iterable[Batch], *, val: Any = None, per_class: int = 30) -> dict[str, float]:
        """Encode the phrases and fit the head on an L1 path; its strength is chosen on the validation texts.

        Args:
            loader: all training texts.
            val: true in a config: the validation texts.
            per_class: largest number of phrases with a weight, on average over the classes.

        Returns:
            Sizes and validation figures, also of as many random phrases: word sequences of training texts.

        Raises:
            ValueError: if there are no phrases, no validation texts, or the model has no inputs to read phrases with.
        """
        if not val or len(self.phrases) < 2:
            raise ValueError("fit_phrases needs model.phrases, two or more, and val: true with data.val above 0")
        x, z, y, _ = self.split_vectors(loader)
        _, val_z, val_y, _ = self.split_vectors(val)
        sets = (z, y), (val_z, val_y)
        codes, vectors = self._encoded(self.phrases)
        kept, head, figures = self._fitted(vectors, sets, per_class)
        random = self._encoded(self._random_phrases(x, len(self.phrases)))[1]
        _, _, control = self._fitted(random, sets, per_class)
        texts = [self.phrases[i] for i in kept.tolist()]
        self.set_texts(texts, codes[kept], vectors[kept], torch.full((len(kept),), -1))
        self.set_head(*head)
        return {**figures, "validation accuracy of random phrases": control["validation accuracy"]}

    def head_signs(self) -> Tensor | None:
        """Return NaN ``(c, u)`` for the weights that are 0: a sparse head stays sparse."""
        weight = self.head.weight.detach()
        return torch.zeros_like(weight).masked_fill(weight == 0, torch.nan)

    def _encoded(self, phrases: list[str]) -> tuple[Tensor, Tensor]:
        """Codes ``(u, t)`` of the first wording and mean vectors ``(u, d)`` of the wordings of phrases."""
        inputs: Any = self.inputs
        if inputs is None:
            raise ValueError("the model has no inputs to read phrases with; train it on sentences")
        wordings = [phrase.split(" / ") for phrase in phrases]
        codes, _ = inputs.encode([wording for group in wordings for wording in group])
        vectors = self.unit_vectors(codes.to(self.device)).cpu()
        group = torch.arange(len(phrases)).repeat_interleave(torch.tensor([len(group) for group in wordings]))
        total = torch.zeros(len(phrases), vectors.shape[1]).to(vectors).index_add(0, group, vectors)
        first = torch.tensor([len(g) for g in wordings]).cumsum(0) - torch.tensor([len(g) for g in wordings])
        return codes[first], F.normalize(total, dim=1)

    def _random_phrases(self, x: Tensor, count: int) -> list[str]:
        """Word sequences of training texts ``(n, t)``, drawn at random."""
        generator = torch.Generator().manual_seed(0)
        rows = x[torch.randint(len(x), (count,), generator=generator)]
        phrases = []
        for text in self.written(rows):
            words = text.split()
            start = int(torch.randint(max(1, len(words) - WORDS + 1), (1,), generator=generator))
            phrases.append(" ".join(words[start : start + WORDS]))
        return phrases

    def _fitted(
        self, vectors: Tensor, sets: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]], per_class: int
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor], dict[str, float]]:
        """Phrases with a weight ``(k,)``, the head on them and its figures."""
        (z, y), (val_z, val_y) = sets
        scores, mean, std = standardized(z, vectors, torch.full((len(vectors),), -1))
        val_scores = (val_z.double() @ vectors.double().T - mean) / std
        path = sparse_path(scores, y, classes=self.num_classes, max_units=len(vectors), ratio=0.8, steps=25)
        sizes = [float((step.weight != 0).sum() / self.num_classes) for step in path]
        ids = [i for i, size in enumerate(sizes) if 0 < size <= per_class] or [0]
        results = []
        for i in ids[-4:]:
            units = path[i].units
            options: dict[str, Any] = {"classes": self.num_classes, "ridges": RIDGES}
            mask = path[i].weight != 0
            fitted = best_ridge((scores[:, units], y), (val_scores[:, units], val_y), allowed=mask, **options)
            results.append((units, *fitted))
        units, weight, bias, figures = min(results, key=lambda result: result[3]["validation loss"])
        figures["non-zeros per class"] = float((weight != 0).sum(1).double().mean())
        return units, (weight, bias, mean[units], std[units]), {"phrases": float(len(units)), **figures}
