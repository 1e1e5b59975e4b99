"""Concept bottleneck model: predicts named concepts, then the class from the concepts alone.

Source: Koh et al., Concept Bottleneck Models, ICML 2020.

A person can read and correct each concept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.capabilities import Directions
from zoo.editing.operation import Operation
from zoo.explanation import Explanation
from zoo.layers.bottlenecks.concept_pooling import ConceptPooling, Pooling, concept_maps, grid_of
from zoo.layers.concept_model import ConceptModel
from zoo.layers.edited_head import Rows, WeightEdits
from zoo.layers.feature_space import space_of
from zoo.layers.sparse_linear import fit_linear_head
from zoo.phase import Phase, needs_task_loss
from zoo.registry import register
from zoo.what_if import AffineHead

Mode = Literal["independent", "sequential", "joint"]
Bottleneck = Literal["probability", "logit", "hard"]


@register
class CBM(ConceptModel):
    """Backbone, pooling, one linear concept layer, a head that reads only the concepts.

    Args:
        mode: input of the head in training: true concepts (independent; predictions replace unknown ones), predictions
            (sequential), or predictions with their gradient (joint).
        bottleneck: what the head reads: probabilities, logits, or decisions (0 or 1).
        head: linear, with exact contributions, or an MLP, with contributions by ablation.
        hidden: width of the MLP head.
        randint: fraction of concepts replaced by the truth while the head is trained on predictions, drawn per sample.
        pooling: of the places of the feature map: ``mean``, in which small parts are lost, ``max``, the strongest
            place, ``attention``, weights that follow the map, or ``spatial``, learned weights of each concept; but for
            the mean an explanation has ``where``, the map of each concept's logit.
        balance: weight positive examples of each binary concept by their odds; needs ``then: calibrate`` before.
        common: the arguments of ``zoo.layers.concept_model.ConceptModel``.

    Example:
        >>> import torch, zoo
        >>> concepts = {"columns": {"round": {"kind": "binary"}, "red": {"kind": "binary"}}}
        >>> model = zoo.create_model("cbm", num_classes=3, concepts=concepts, backbone="mlp", input_shape=[4]).eval()
        >>> model.explain(torch.zeros(5, 4)).contribution.shape
        torch.Size([5, 2])
    """

    terms = ("task", "concept", "l1")
    tasks = ("classification", "regression", "multilabel")
    average: Tensor
    low: Tensor
    high: Tensor
    odds: Tensor

    def __init__(
        self,
        *,
        mode: Mode = "independent",
        bottleneck: Bottleneck = "probability",
        head: Literal["linear", "mlp"] = "linear",
        hidden: int = 64,
        randint: float = 0.0,
        pooling: Pooling = "mean",
        balance: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if hidden < 1 or not 0 <= randint <= 1:
            raise ValueError(f"hidden is {hidden}, randint {randint}; expected at least 1, and 0 to 1")
        self.mode = mode
        self.bottleneck = bottleneck
        self.randint = randint
        m = len(self.schema)
        grid = grid_of(self.backbone, self.hparams["input_shape"]) if pooling == "spatial" else None
        self.pool = ConceptPooling(pooling, m, grid)
        self.concepts = nn.Linear(self.backbone.channels, m)
        if head == "linear":
            self.head = nn.Linear(m, self.num_classes)
        else:
            self.head = nn.Sequential(nn.Linear(m, hidden), nn.ReLU(), nn.Linear(hidden, self.num_classes))
        self.register_buffer("average", torch.full((m,), 0.5))  # mean strengths of the training split
        self.register_buffer("low", torch.full((m,), -3.0))  # 5th and 95th percentiles of its logits
        self.register_buffer("high", torch.full((m,), 3.0))
        self.register_buffer("odds", torch.zeros(m))  # 0 until they are measured

    def directions(self) -> Directions:
        """Return the weights of the concept layer, in the space of the pooled features."""
        return Directions(self.concepts.weight.detach(), space_of(self.backbone))

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        linear = {"affine_head"} if isinstance(self.head, nn.Linear) else set()
        return frozenset({"concepts", "directions", "editable", "features"} | linear)

    def affine_head(self, x: Tensor) -> AffineHead:
        """Return the linear head; a concept that is switched off adds nothing."""
        assert isinstance(self.head, nn.Linear)
        zero = torch.zeros_like(self.head.weight[0])
        shift = self._head_input(zero)  # affine: continuous concepts are standardized
        slope = self._head_input(torch.ones_like(zero)) - shift
        weight = self.head.weight * self.task.scale
        mean = self.average if bool(self.odds.all()) else None  # 0 until they are measured
        return AffineHead(weight * slope, weight * shift, -shift / slope, mean)

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``concepts`` (with the locations of spatial pooling), ``head``."""
        concepts = nn.ModuleList([self.concepts, self.pool]) if self.pool.pooling == "spatial" else self.concepts
        return {**self.backbone_parts(), "concepts": concepts, "head": self.head}

    def part_of(self, key: str) -> str:
        """Return ``concepts`` also for the pooling and for what ``calibrate`` measures."""
        measured = key in ("average", "low", "high", "odds")
        return "concepts" if measured or key.startswith("pool.") else super().part_of(key)

    def check_phases(self, phases: Mapping[str, Phase]) -> None:
        """Check that a joint model has a phase in which the task trains the concepts."""
        needs_task_loss("model.mode is 'joint'", phases if self.mode == "joint" else {}, ("concepts", "backbone"))

    def encode(self, x: Tensor) -> Tensor:
        """Return concept logits ``(b, u)``."""
        if self.pool.pooling == "mean":
            return self.concepts(self.features(x))
        return self.pool(concept_maps(self.backbone(x), self.concepts))

    def _where(self, x: Tensor, shown: Tensor) -> Tensor | None:
        """Maps ``(b, k, h, w)`` of the logits of the concepts shown; None for mean pooling."""
        if self.pool.pooling == "mean":
            return None
        return self.pool.where(concept_maps(self.backbone(x), self.concepts), shown)

    def strengths(self, logits: Tensor) -> Tensor:
        """Convert concept logits ``(b, u)`` to what the head reads, see ``bottleneck``."""
        if self.bottleneck == "logit":
            return logits
        soft = self.bottleneck == "probability"
        strengths = self.space.values(logits) if soft else self.space.hard(logits)
        return strengths.to(self.concepts.weight.dtype)  # of a model in half precision; they are computed in single

    def encode_concepts(self, concepts: Tensor) -> Tensor:
        """Return the strengths ``(b, u)`` of concept values ``(b, u)``: the same but for a logit bottleneck.

        There 0 and 1 are percentiles of training logits (``calibrate``), and continuous concepts are standardized.
        """
        if self.bottleneck != "logit":
            return concepts
        inside = self.low + concepts * (self.high - self.low)
        return torch.where(self.space.kind == 2, self.space.standard(concepts), inside)

    def decode_concepts(self, strengths: Tensor) -> Tensor:
        """Return the concepts ``(b, u)`` of strengths ``(b, u)``: probabilities, or numbers in their own unit."""
        return self.space.values(strengths) if self.bottleneck == "logit" else strengths

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Apply the head to the strengths, some of them set."""
        strengths = self.strengths(state)
        if mask is not None and value is not None:
            strengths = torch.where(mask, value, strengths)
        return self.in_units_of_y(self.head(self._head_input(strengths)))

    def _head_input(self, strengths: Tensor) -> Tensor:
        return strengths if self.bottleneck == "logit" else self.space.standard(strengths)

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by weight times strength, exact; with an MLP head by ablation.

        The ablation of a concept is the change of the logit when it is set to its mean over the training split
        (``calibrate``); ``base`` is then the rest of the logit.
        """
        strength = self.strengths(self.encode(x))
        output = self.head(self._head_input(strength))
        target = self.resolve_target(self.in_units_of_y(output), target)
        if isinstance(self.head, nn.Linear):
            contribution = self._head_input(strength) * self.head.weight[target]
            base = self.head.bias[target]
            shown = self.resolve_shown(contribution, shown)
            where = self._where(x, shown)
            explanation = Explanation(self.units, output, target, strength, contribution, base, shown, where)
            return self.explained_in_units_of_y(explanation)
        u = strength.shape[1]
        at_target = output.gather(1, target[:, None])[:, 0]
        ablated = torch.where(torch.eye(u, dtype=torch.bool, device=x.device)[:, None], self.average, strength)
        without = self.head(self._head_input(ablated)).gather(2, target.expand(u, -1)[..., None])[..., 0]  # (u, b)
        contribution = at_target[:, None] - without.T
        shown = self.resolve_shown(contribution, shown)
        base = at_target - contribution.sum(1)
        where = self._where(x, shown)
        ablation = Explanation(self.units, output, target, strength, contribution, base, shown, where, "ablation")
        return self.explained_in_units_of_y(ablation)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: the loss of the task; ``concept``: mean over known concepts; ``l1``: sum of absolute head weights.

        Raises:
            ValueError: if needed concepts are missing, odds are not measured, or ``l1`` is used with an MLP head.
        """
        logits = self.encode(batch.x)
        terms: dict[str, Tensor] = {}
        if weights.get("task", 1.0):
            terms["task"] = self.task_loss(self.in_units_of_y(self.head(self._training_input(logits, batch))), batch)
        if weights.get("concept"):
            odds = self.odds if self.hparams["balance"] else None
            if odds is not None and not bool(odds.all()):
                raise ValueError(
                    "balance needs the odds of the concepts; expected `then: calibrate` in an earlier phase"
                )
            terms["concept"] = self.space.loss(logits, self.annotations(batch), odds=odds)
        if weights.get("l1"):
            if not isinstance(self.head, nn.Linear):
                raise ValueError("the loss term l1 is set and the head is an MLP; expected a linear head, or no l1")
            terms["l1"] = self.head.weight.abs().sum()
        return terms

    def _training_input(self, logits: Tensor, batch: Batch) -> Tensor:
        """Input of the head in training, from concept logits ``(b, u)`` and the annotations."""
        predicted = self.strengths(logits if self.mode == "joint" else logits.detach())
        rate = 1.0 if self.mode == "independent" else self.randint if self.training else 0.0
        if not rate:
            return self._head_input(predicted)
        return self._head_input(self.space.randint(predicted, self.encode_concepts(self.annotations(batch)), rate))

    @torch.no_grad()
    def calibrate(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Measure on the training split: mean strengths, logit percentiles, odds of each concept."""
        logits, truth, _, _ = self.concept_rows(loader, self.encode)
        levels = torch.tensor([0.05, 0.95], device=logits.device, dtype=logits.dtype)
        self.low.copy_(logits.quantile(levels[0], dim=0))
        self.high.copy_(logits.quantile(levels[1], dim=0))
        self.average.copy_(self.strengths(logits).mean(0))
        odds = ((1 - truth.nanmean(0)) / truth.nanmean(0)).clamp(0.1, 100).nan_to_num(1.0)  # 1 where nothing is known
        self.odds.copy_(torch.where(self.space.kind == 0, odds, 1.0))
        counted = truth.isfinite() & ((self.space.kind == 0) | ((self.space.kind == 1) & (truth == 1)))
        correct = self.space.hard(logits)[counted] == truth[counted]  # of a group: whether its true value is predicted
        return {"training concept accuracy": float(correct.float().mean())} if len(correct) else {}

    @torch.no_grad()
    def fit_head(self, loader: Iterable[Batch], *, l1: float = 0.0, l2: float = 1e-3) -> dict[str, float]:
        """Fit a linear head exactly, on true or predicted concepts as ``mode`` sets; the bias is not penalized.

        Raises:
            ValueError: if the head is not linear.
        """
        if not isinstance(self.head, nn.Linear):
            raise ValueError("the head is an MLP; expected a linear head: train an MLP with lr: {head: ...}")
        rows = self._head_rows(loader)
        return fit_linear_head(self.head, rows.inputs, rows.y, l1=l1, l2=l2, loss=rows.loss)

    def _head_rows(self, loader: Iterable[Batch]) -> Rows:
        logits, truth, y, share = self.concept_rows(loader, self.encode)
        strengths = self.strengths(logits)
        if self.mode == "independent":
            strengths = self.space.randint(strengths, self.encode_concepts(truth), 1.0)
        return Rows(self._head_input(strengths), y, self.head_loss(y, share))

    def edit_operations(self) -> dict[str, Operation]:
        """Return the operations on concepts, see ``zoo.layers.edited_head``; of an MLP head ``drop`` alone."""
        first = self.head if isinstance(self.head, nn.Linear) else self.head[0]
        assert isinstance(first, nn.Linear)
        edits = WeightEdits(first.weight, first.bias, self._head_input(self.average), self.task.scale)
        if first is not self.head:
            return {"drop": edits.drop_operation()}
        return dict(edits.operations(self._head_rows))
