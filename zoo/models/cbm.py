"""Concept bottleneck models: first judge named concepts, then answer from the concepts alone.

Koh et al., Concept Bottleneck Models, ICML 2020. A person can read each judgement, correct it, and see the answer
follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.capabilities import Directions
from zoo.concept_schema import ConceptSchema
from zoo.explanation import Explanation, Units
from zoo.layers.backbone import Backbone
from zoo.layers.concepts import ConceptSpace
from zoo.layers.directions import space_of
from zoo.layers.sparse_linear import fit_sparse_linear
from zoo.model import SelfExplaining, in_order
from zoo.registry import register

Mode = Literal["independent", "sequential", "joint"]
Bottleneck = Literal["probability", "logit", "hard"]


@register
class CBM(SelfExplaining):
    """Backbone, average pooling, one linear concept layer, a head that sees nothing but the concepts.

    Args:
        num_classes: c.
        concepts: the schema (``zoo.concept_schema``); filled in from the data.
        backbone: timm architecture, or ``mlp``.
        backbone_level: which feature level, -1 the deepest.
        pretrained: backbone weights from timm's hub.
        backbone_weights: backbone weights from a local safetensors file.
        backbone_args: further arguments of the backbone.
        input_shape: of one input, for ``backbone=mlp``; filled in from the data.
        mode: what the head learns on: the true concepts (independent; an unknown one is replaced by its prediction),
            the predicted ones (sequential), or the predicted ones with the gradient flowing back (joint).
        bottleneck: what the head reads: probabilities, logits, or decisions (0 or 1).
        head: linear, whose contributions are exact, or an MLP, whose contributions are ablations.
        hidden: width of the MLP head.
        randint: share of the concepts replaced by the truth while the head learns on predictions, drawn per sample.
        balance: weigh the positive examples of each binary concept by their odds; needs ``then: calibrate`` before.
    """

    terms = ("task", "concept", "l1")
    average: Tensor
    low: Tensor
    high: Tensor
    odds: Tensor

    def __init__(
        self,
        *,
        num_classes: int,
        concepts: dict[str, Any] | None = None,
        backbone: str = "resnet18",
        backbone_level: int = -1,
        pretrained: bool = False,
        backbone_weights: str | None = None,
        backbone_args: dict[str, Any] | None = None,
        input_shape: list[int] | None = None,
        mode: Mode = "independent",
        bottleneck: Bottleneck = "probability",
        head: Literal["linear", "mlp"] = "linear",
        hidden: int = 64,
        randint: float = 0.0,
        balance: bool = False,
    ) -> None:
        super().__init__()
        if num_classes < 1 or hidden < 1 or not 0 <= randint <= 1:
            raise ValueError(
                f"num_classes is {num_classes}, hidden {hidden}, randint {randint}; expected 1 or more twice, 0 to 1"
            )
        if not concepts:
            raise ValueError("a concept bottleneck needs concepts, and the data have none; choose data with concepts")
        self.save_hyperparameters()
        self.schema = ConceptSchema.from_config(concepts)
        self.mode, self.bottleneck, self.randint = mode, bottleneck, randint
        self.space = ConceptSpace(self.schema)
        self.backbone = Backbone(
            backbone,
            level=backbone_level,
            pretrained=pretrained,
            weights=backbone_weights,
            args=backbone_args,
            input_shape=input_shape,
        )
        m = len(self.schema)
        self.concepts = nn.Linear(self.backbone.channels, m)
        self.head = (
            nn.Linear(m, num_classes)
            if head == "linear"
            else nn.Sequential(nn.Linear(m, hidden), nn.ReLU(), nn.Linear(hidden, num_classes))
        )
        self.register_buffer("average", torch.full((m,), 0.5))  # strengths of the training split
        self.register_buffer("low", torch.full((m,), -3.0))  # 5th and 95th percentile of its logits
        self.register_buffer("high", torch.full((m,), 3.0))
        self.register_buffer("odds", torch.zeros(m))  # 0 until they are measured

    @property
    def units(self) -> Units:
        """The concepts."""
        return Units("concept", self.schema.names, group=self.schema.groups)

    def directions(self) -> Directions:
        """The weights of the concept layer, in the space of the pooled features."""
        return Directions(self.concepts.weight.detach(), space_of(self.backbone))

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset({"concepts", "directions", "features"})

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``concepts``, ``head``."""
        return {"backbone": self.backbone, "concepts": self.concepts, "head": self.head}

    def part_of(self, key: str) -> str:
        """What is measured on the training split belongs to ``concepts``."""
        return "concepts" if key in ("average", "low", "high", "odds") else super().part_of(key)

    def features(self, x: Tensor) -> Tensor:
        """Pooled features ``(b, d)``."""
        return self.backbone(x).mean((2, 3))

    def encode(self, x: Tensor) -> Tensor:
        """Concept logits ``(b, u)``."""
        return self.concepts(self.features(x))

    def strengths(self, logits: Tensor) -> Tensor:
        """What the head reads of concept logits ``(b, u)``: by ``bottleneck``."""
        if self.bottleneck == "logit":
            return logits
        return self.space.values(logits) if self.bottleneck == "probability" else self.space.hard(logits)

    def encode_concepts(self, concepts: Tensor) -> Tensor:
        """0 and 1; in a logit bottleneck the 5th and 95th percentile of the training split's logits (``calibrate``).

        Continuous concepts as they are, in a logit bottleneck in units of std around the mean.
        """
        if self.bottleneck != "logit":
            return concepts
        inside = self.low + concepts * (self.high - self.low)
        return torch.where(self.space.kind == 2, self.space.standard(concepts), inside)

    def decode_concepts(self, strengths: Tensor) -> Tensor:
        """Probabilities, of a logit bottleneck too."""
        return self.space.values(strengths) if self.bottleneck == "logit" else strengths

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """The head on the strengths, some of them set."""
        strengths = self.strengths(state)
        return self._answer(strengths if mask is None else torch.where(mask, value, strengths))

    def _answer(self, strengths: Tensor) -> Tensor:
        return self.head(strengths if self.bottleneck == "logit" else self.space.standard(strengths))

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Weight times strength, exact. With an MLP head: what the logit loses when the concept is set to its average.

        The average is that of the training split (``calibrate``), and ``base`` is then what the ablations leave over.
        """
        strength = self.strengths(self.encode(x))
        logits = self._answer(strength)
        target = self.resolve_target(logits, target)
        at = logits.gather(1, target[:, None])[:, 0]
        if isinstance(self.head, nn.Linear):
            read = strength if self.bottleneck == "logit" else self.space.standard(strength)
            contribution, base = read * self.head.weight[target], self.head.bias[target]
            shown = self.resolve_shown(contribution, shown)
            return Explanation(self.units, logits, target, strength, contribution, base, shown)
        u = strength.shape[1]
        without = torch.where(torch.eye(u, dtype=torch.bool, device=x.device)[:, None], self.average, strength)
        left = self._answer(without).gather(2, target.expand(u, -1)[..., None])[..., 0]  # (u, b)
        contribution = at[:, None] - left.T
        shown = self.resolve_shown(contribution, shown)
        base = at - contribution.sum(1)
        return Explanation(self.units, logits, target, strength, contribution, base, shown, method="ablation")

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: cross-entropy; ``concept``: mean over known concepts; ``l1``: absolute weights of a linear head.

        Raises:
            ValueError: if the batch has no concepts and they are needed, ``balance`` comes before ``calibrate``, or
                ``l1`` is asked of an MLP head.
        """
        logits = self.encode(batch.x)
        terms: dict[str, Tensor] = {}
        if weights.get("task", 1.0):
            terms["task"] = F.cross_entropy(self._answer(self._read(logits, batch.concepts)), batch.y)
        if weights.get("concept"):
            odds = self.odds if self.hparams["balance"] else None
            if odds is not None and not bool(odds.all()):
                raise ValueError("balance needs the odds of the concepts: give an earlier phase `then: calibrate`")
            terms["concept"] = self.space.loss(logits, self._known(batch.concepts), odds=odds)
        if weights.get("l1"):
            if not isinstance(self.head, nn.Linear):
                raise ValueError("the l1 term is of a linear head; this one is an MLP: leave it out")
            terms["l1"] = self.head.weight.abs().sum()
        return terms

    def _read(self, logits: Tensor, concepts: Tensor | None) -> Tensor:
        """What the head learns on."""
        sensed = self.strengths(logits if self.mode == "joint" else logits.detach())
        rate = 1.0 if self.mode == "independent" else self.randint if self.training else 0.0
        if not rate:
            return sensed
        truth = self.encode_concepts(self._known(concepts)).to(sensed)
        given = truth.isfinite() & (rate == 1.0 or self.space.random_groups(len(sensed), rate))
        return torch.where(given, truth.nan_to_num(), sensed)

    def _known(self, concepts: Tensor | None) -> Tensor:
        if concepts is None or concepts.shape[1] != len(self.schema):
            found = "none" if concepts is None else str(concepts.shape[1])
            raise ValueError(f"the model has {len(self.schema)} concepts, the data have {found}; use the same data")
        return concepts

    # Methods that a phase may name under ``then``.

    @torch.no_grad()
    def calibrate(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Measure on the training split: average strengths, logit percentiles, odds of each concept."""
        logits, truth, _ = self._whole(loader)
        at = torch.tensor([0.05, 0.95], device=logits.device, dtype=logits.dtype)
        self.low.copy_(logits.quantile(at[0], dim=0))
        self.high.copy_(logits.quantile(at[1], dim=0))
        self.average.copy_(self.strengths(logits).mean(0))
        positive = truth.nanmean(0)
        odds = ((1 - positive) / positive).clamp(0.1, 100).nan_to_num(1.0)  # 1 where nothing is known
        self.odds.copy_(torch.where(self.space.kind == 0, odds, 1.0))
        asked = truth.isfinite() & ((self.space.kind == 0) | ((self.space.kind == 1) & (truth == 1)))
        right = self.space.hard(logits)[asked] == truth[asked]  # of a group, whether its true value is chosen
        return {"training concept accuracy": float(right.float().mean())} if len(right) else {}

    @torch.no_grad()
    def fit_head(self, loader: Iterable[Batch], *, l1: float = 0.0, l2: float = 1e-3) -> dict[str, float]:
        """Solve a linear head exactly, on what the mode says: true concepts, or predicted ones. The bias is free.

        Raises:
            ValueError: if the head is not linear.
        """
        if not isinstance(self.head, nn.Linear):
            raise ValueError("fit_head solves a linear head; this one is an MLP: train it with lr: {head: ...}")
        logits, truth, y = self._whole(loader)
        read = self._read(logits, truth)
        read = read if self.bottleneck == "logit" else self.space.standard(read)
        start = torch.zeros_like(torch.cat([self.head.weight, self.head.bias[:, None]], 1))
        held = torch.ones_like(start, dtype=torch.bool)
        weight, residual = fit_sparse_linear(
            torch.cat([read, torch.ones_like(read[:, :1])], 1), y, start, held, l1=l1, l2=l2, bias=True
        )
        self.head.weight.copy_(weight[:, :-1])
        self.head.bias.copy_(weight[:, -1])
        return {"kkt residual": residual, "non-zeros per class": float((weight[:, :-1] != 0).sum(1).float().mean())}

    def _whole(self, loader: Iterable[Batch]) -> tuple[Tensor, Tensor, Tensor]:
        self.eval()
        device = self.concepts.weight.device
        moved = (b.to(device) for b in loader)
        logits, truth, y = in_order((self.encode(b.x), self._known(b.concepts), b.y, b.index) for b in moved)
        return logits, truth, y
