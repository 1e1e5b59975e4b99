"""Concept bottleneck of texts: predicts annotated aspects of a text, then the class from the aspects alone.

Source: Koh et al., Concept Bottleneck Models, ICML 2020; for texts, Tan, Cheng, Wang, Yuan, Li, Liu, Interpreting
Pretrained Language Models via Concept Bottlenecks, PAKDD 2024, and the data of Abraham et al., CEBaB, NeurIPS 2022.

Unlike there both layers are convex problems that are solved exactly, and a concept's unknown value is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.concept_schema import ConceptSchema
from zoo.editing.operation import Operation
from zoo.explanation import Explanation, Units, gather
from zoo.layers.concepts import ConceptSpace
from zoo.layers.edited_head import Rows, WeightEdits
from zoo.layers.text.concept_layer import RIDGES, fit_concept_layer
from zoo.layers.text.sentence_encoder import token_shares
from zoo.layers.text.sparse_path import best_ridge
from zoo.layers.text.text_model import TextModel
from zoo.registry import register
from zoo.runtime.gathering import in_order
from zoo.what_if import AffineHead

log = logging.getLogger("zoo")
LEAK = 0.01  # accuracy above that of the true concepts that marks a leaking bottleneck
DESCRIBE = (
    "This model predicts by way of concepts: properties of a text that a person can check, such as whether a review"
    " praises the food. The strength of a concept is the probability that the model gives it. Every concept then adds"
    " to the score of a class or subtracts from it, compared with an average text."
)


@register
class TextCBM(TextModel):
    """A linear concept layer on the vector of a text, and a linear head that reads only the concepts.

    ``fit_concepts`` and ``fit_head`` fit the layers. A concept at its mean over the training texts adds 0. ``where``
    has what each token adds to the logit of a concept, compared with the other values of its group.

    Args:
        concepts: the schema (``zoo.concept_schema``); filled in from the data.
        bottleneck: what the head reads: probabilities, or decisions (0 or 1).
        mode: whether the head is fitted on predicted concepts (sequential) or on true ones (independent), where
            predictions stand for unknown ones.
        common: the arguments of ``zoo.layers.text.text_model.TextModel``.

    Attributes:
        average: ``(u,)`` mean strengths of the training texts.
        truth_head: ``(c, u + 1)`` weights and bias of a head on the true concepts, the limit of an honest bottleneck.

    Example:
        >>> import zoo
        >>> words = {"tokens": ["[UNK]", "good", "bad"], "length": 4, "unknown": "[UNK]"}
        >>> food = {"columns": {"food": {"kind": "binary"}, "noise": {"kind": "binary"}}}
        >>> model = zoo.create_model("text_cbm", num_classes=3, sequence=words, concepts=food, width=8).eval()
        >>> model.explain(torch.tensor([[1, 2, -1, -1]])).where.shape
        torch.Size([1, 2, 4])
    """

    average: Tensor
    truth_head: Tensor
    truth_mean: Tensor

    def __init__(
        self,
        *,
        concepts: dict[str, Any] | None = None,
        bottleneck: Literal["probability", "hard"] = "probability",
        mode: Literal["sequential", "independent"] = "sequential",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if not concepts:
            raise ValueError("the data have no concepts, and a concept model needs them; name data.concept_columns")
        self.schema = ConceptSchema.from_config(concepts)
        self.space = ConceptSpace(self.schema)
        self.bottleneck = bottleneck
        self.mode = mode
        m = len(self.schema)
        self.concepts = nn.Linear(self.encoder.width, m)
        self.head = nn.Linear(m, self.num_classes)
        self.register_buffer("average", torch.full((m,), 0.5))
        self.register_buffer("truth_head", torch.zeros(self.num_classes, m + 1))
        self.register_buffer("truth_mean", torch.full((m,), 0.5))

    @property
    def head_dtype(self) -> torch.dtype:
        """Type of the numbers of the head."""
        return self.head.weight.dtype

    @property
    def units(self) -> Units:
        """The concepts."""
        groups = self.schema.groups
        return Units("concept", self.schema.names, group=groups, describe=DESCRIBE, signed=True)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset({"affine_head", "concepts", "editable", "extra_metrics", "features"})

    def affine_head(self, x: Tensor) -> AffineHead:
        """Return the head; a concept that is switched off has its mean strength over the training texts."""
        weight = self.head.weight
        return AffineHead(weight, -weight * self.average, self.average, self.average)

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``concepts`` and ``head``; of an encoder trained here also ``encoder`` and ``probe``."""
        return {**self.encoder_parts(), "concepts": self.concepts, "head": self.head}

    def features(self, x: Tensor) -> Tensor:
        """Return the vectors ``(b, d)`` of texts ``(b, t)``, of norm 1."""
        return self.unit_vectors(x)

    def encode(self, x: Tensor) -> Tensor:
        """Return concept logits ``(b, u)``."""
        return self.concepts(self.unit_vectors(x))

    def strengths(self, logits: Tensor) -> Tensor:
        """Convert concept logits ``(b, u)`` to what the head reads."""
        values = self.space.values(logits) if self.bottleneck == "probability" else self.space.hard(logits)
        return values.to(self.head_dtype)

    def encode_concepts(self, concepts: Tensor) -> Tensor:
        """Return the strengths ``(b, u)`` that stand for concept values ``(b, u)``: the same."""
        return concepts

    def decode_concepts(self, strengths: Tensor) -> Tensor:
        """Return the concepts ``(b, u)`` of strengths ``(b, u)``: the same."""
        return strengths

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Apply the head to the strengths, some of them set."""
        strengths = self.strengths(state)
        if mask is not None and value is not None:
            strengths = torch.where(mask, value.to(strengths), strengths)
        return self.head(strengths - self.average)

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by weight times strength, exact; ``where`` is each token's share of the logit of the concept."""
        vectors, states = self.unit_vectors_and_states(x)
        strength = self.strengths(self.concepts(vectors))
        logits = self.head(strength - self.average)
        target = self.resolve_target(logits, target)
        contribution = (strength - self.average) * self.head.weight[target]
        shown = self.resolve_shown(contribution, shown)
        where = gather(token_shares(states, x, self._directions()), shown)
        base = self.head.bias[target]
        return Explanation(self.units, logits, target, strength, contribution, base, shown, where.to(strength))

    def _directions(self) -> Tensor:
        """Weights ``(u, d)`` of each concept, of a value less the mean over the values of its group."""
        weight, group = self.concepts.weight, self.space.group
        total = torch.zeros_like(weight).index_add(0, group, weight)  # there are at most as many groups as concepts
        size = weight.new_zeros(len(weight)).index_add(0, group, torch.ones_like(weight[:, 0]))
        mean = total[group] / size[group, None]
        return torch.where((self.space.kind == 1)[:, None], weight - mean, weight)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: the loss of the probe, which trains the encoder."""
        return {"task": self.probe_loss(batch)}

    @torch.no_grad()
    def fit_concepts(self, loader: Iterable[Batch], *, val: Any = None) -> dict[str, float]:
        """Fit the concept layer on the known concepts, with a ridge chosen on the validation texts.

        Args:
            loader: all training texts.
            val: true in a config: the validation texts.

        Raises:
            ValueError: if there are no validation texts or no concepts.
        """
        z, truth, _ = self._split(loader)
        val_z, val_truth, _ = self._split(val)
        weight, figures = fit_concept_layer(self.space.cpu(), (z, truth), (val_z, val_truth))
        self.concepts.weight.copy_(weight[:, :-1])
        self.concepts.bias.copy_(weight[:, -1])
        return figures

    @torch.no_grad()
    def fit_head(self, loader: Iterable[Batch], *, val: Any = None) -> dict[str, float]:
        """Fit the head, and beside it a head on the true concepts; ridges are chosen on the validation texts.

        Args:
            loader: all training texts.
            val: true in a config: the validation texts.

        Raises:
            ValueError: if there are no validation texts or no concepts.
        """
        z, truth, y = self._split(loader)
        val_z, val_truth, val_y = self._split(val)
        device = self.head.bias.device
        strengths, val_strengths = (self.strengths(self.concepts(v.to(device))).cpu() for v in (z, val_z))
        read = torch.where(truth.isfinite(), truth, strengths) if self.mode == "independent" else strengths
        self.average.copy_(read.mean(0))
        options: dict[str, Any] = {"classes": self.num_classes, "ridges": RIDGES}
        sets = (read - read.mean(0), y), (val_strengths - read.mean(0), val_y)
        weight, bias, figures = best_ridge(*sets, **options)
        self.head.weight.copy_(weight)
        self.head.bias.copy_(bias)
        mean = truth.nanmean(0).nan_to_num(0.5)
        true, val_true = (torch.where(t.isfinite(), t - mean, 0.0) for t in (truth, val_truth))
        weight, bias, limit = best_ridge((true, y), (val_true, val_y), **options)
        self.truth_head.copy_(torch.cat([weight, bias[:, None]], 1))
        self.truth_mean.copy_(mean)
        return {**figures, "validation accuracy of the true concepts": limit["validation accuracy"]}

    def edit_operations(self) -> dict[str, Operation]:
        """Return the operations on concepts, see ``zoo.layers.edited_head``."""
        return dict(WeightEdits(self.head.weight, self.head.bias).operations(self._head_rows, l2=RIDGES[1]))

    def _head_rows(self, loader: Iterable[Batch]) -> Rows:
        z, truth, y = self._split(loader)
        strengths = self.strengths(self.concepts(z.to(self.head.bias.device))).cpu()
        read = torch.where(truth.isfinite(), truth, strengths) if self.mode == "independent" else strengths
        return Rows(read - self.average.cpu(), y)

    def _split(self, loader: Iterable[Batch] | None) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors ``(n, d)``, concepts ``(n, u)`` and classes ``(n,)`` of a split, on the CPU."""
        if not loader:
            raise ValueError("the ridge is chosen on validation texts; expected val: true, and data.val above 0")
        self.eval()
        moved = [b.to(self.device) for b in loader]
        if self.is_pretrained:
            self.encoder.vectors(torch.cat([b.x for b in moved]))
        rows = ((self.unit_vectors(b.x), self._annotations(b), b.targets, b.index) for b in moved)
        z, truth, y = in_order(rows)
        return z.cpu(), truth.cpu(), y.cpu()

    def _annotations(self, batch: Batch) -> Tensor:
        if batch.concepts is None or batch.concepts.shape[1] != len(self.schema):
            actual = "none" if batch.concepts is None else str(batch.concepts.shape[1])
            raise ValueError(f"the data have {actual} concepts; expected the {len(self.schema)} of the model")
        return batch.concepts

    @torch.no_grad()
    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return the accuracy of a head on the true concepts, and 1 for a model that is more accurate, which leaks.

        Concepts alone do not say more than their true values do: a model that does better passes on something else.
        """
        batches = [b for b in loader if b.concepts is not None]
        if not batches or not bool(self.truth_head.any()):
            return {}
        truth = torch.cat([self._annotations(b) for b in batches])
        y = torch.cat([b.targets for b in batches])
        true = torch.where(truth.isfinite(), truth - self.truth_mean.cpu(), 0.0)
        head = self.truth_head.cpu()
        limit = float(((true @ head[:, :-1].T + head[:, -1]).argmax(1) == y).double().mean())
        own = torch.cat([self(b.x.to(self.device)).argmax(1).cpu() for b in batches])
        leaks = float((own == y).double().mean()) > limit + LEAK
        if leaks:
            log.warning("the model is more accurate than its true concepts allow (%.3f): the bottleneck leaks", limit)
        return {"accuracy of the true concepts": limit, "leaks": float(leaks)}
